"""Repeats of an invocation: one run, and its answer for everybody who asks for it."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from outlastd.front_door.response import Response
from outlastd.session_host.api_error import ApiError, agent_failed, busy
from outlastd.session_host.repeat_key import RepeatKey
from outlastd.session_host.repeats import Repeats

from ..clock import Clock
from .bodies import open_files, threads_ended
from .scripted_agent import ScriptedAgent, ScriptedBody, body_of

KEY = RepeatKey("somebody", "agent", "session", "invocation", "digest")
MAX_BYTES = 1_000_000
#: More than is kept in memory, and less than is kept at all.
LARGE = b"".join(index.to_bytes(4, "big") for index in range(100_000))
Made = Callable[..., Repeats]


@pytest.fixture
def agent() -> ScriptedAgent:
    """The agent that is invoked."""
    return ScriptedAgent()


@pytest.fixture
async def made() -> AsyncIterator[Made]:
    """Makes repeats with the limits of a test's choice; all are closed, and leave no file open."""
    all_made: list[Repeats] = []
    before = open_files()

    def make(**limits: Any) -> Repeats:
        all_made.append(Repeats(300.0, MAX_BYTES, **limits))
        return all_made[-1]

    yield make
    for each in all_made:
        await each.close()
    await threads_ended()
    assert open_files() <= before  # less where a collection has closed what others left


@pytest.fixture
def repeats(made: Made) -> Repeats:
    """The object under test, with its usual limits."""
    return made()


async def waiting(count: int = 3) -> None:
    """Let everything take the steps that it can take."""
    for _ in range(count * 5):
        await asyncio.sleep(0)


class TestOneRun:
    """Who asks again gets the first run's answer."""

    async def test_after_the_answer(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """A repeat does not run the agent."""
        answers = [await repeats.answer(KEY, agent.run) for _ in range(3)]

        assert [answer.body for answer in answers] == [b"run 1"] * 3
        assert agent.runs == 1

    async def test_while_it_runs(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """A thousand repeats wait for one run."""
        agent.goes_on.clear()
        asking = [asyncio.ensure_future(repeats.answer(KEY, agent.run)) for _ in range(1_000)]
        await agent.begun.wait()
        agent.goes_on.set()

        answers = await asyncio.gather(*asking)

        assert {bytes(answer.body) for answer in answers if isinstance(answer.body, bytes)} == {b"run 1"}
        assert agent.runs == 1

    async def test_without_a_key(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """Who does not say which invocation it is gets a run of its own."""
        assert [(await repeats.answer(None, agent.run)).body for _ in range(2)] == [b"run 1", b"run 2"]

    @pytest.mark.parametrize("field", ["principal", "agent", "session_id", "invocation_id", "body_sha256"])
    async def test_another_key(self, repeats: Repeats, agent: ScriptedAgent, field: str) -> None:
        """Somebody else, another session, another invocation and another body are no repeats."""
        await repeats.answer(KEY, agent.run)

        assert (await repeats.answer(replace(KEY, **{field: "other"}), agent.run)).body == b"run 2"

    async def test_the_first_client_leaves(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """The run goes on without whoever asked for it, and a repeat gets its answer."""
        agent.goes_on.clear()
        first = asyncio.ensure_future(repeats.answer(KEY, agent.run))
        await agent.begun.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await waiting()
        agent.goes_on.set()

        assert (await repeats.answer(KEY, agent.run)).body == b"run 1"

    async def test_headers(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """Status, content type and headers are the first answer's, and nobody changes another's."""
        agent.answer = lambda: Response(202, b"", None, {"x-one": "1"})
        first = await repeats.answer(KEY, agent.run)
        first.headers["x-one"] = "changed"

        repeat = await repeats.answer(KEY, agent.run)

        assert (repeat.status, repeat.body, repeat.content_type) == (202, b"", None)
        assert dict(repeat.headers) == {"x-one": "1"}

    async def test_headers_that_come_twice(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """A name may come more than once."""

        def answer() -> Response:
            response = Response(200, b"")
            response.headers.add("x-one", "1")
            response.headers.add("x-one", "2")
            return response

        agent.answer = answer

        assert (await repeats.answer(KEY, agent.run)).headers.getall("x-one") == ["1", "2"]


class TestFailures:
    """What becomes of runs without an answer."""

    async def test_one_that_the_agent_has_caused(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """The agent has seen the request: a repeat gets the same error, and runs nothing."""
        error = agent_failed("it broke")
        error.headers["x-one"] = "1"
        agent.fails(error)

        for _ in range(2):
            with pytest.raises(ApiError, match="it broke") as told:
                await repeats.answer(KEY, agent.run)
            assert (told.value.status, told.value.kind, told.value.headers) == (
                424,
                "RuntimeClientError",
                {"x-one": "1"},
            )

        assert agent.runs == 1

    @pytest.mark.parametrize("error", [busy(), RuntimeError("a fault of ours")])
    async def test_one_that_the_agent_has_not_seen(
        self, repeats: Repeats, agent: ScriptedAgent, error: Exception
    ) -> None:
        """All who wait get the error; the next repeat runs."""
        agent.goes_on.clear()
        agent.fails(error)
        asking = [asyncio.ensure_future(repeats.answer(KEY, agent.run)) for _ in range(3)]
        await agent.begun.wait()
        agent.goes_on.set()
        told = await asyncio.gather(*asking, return_exceptions=True)
        assert [(type(each), str(each)) for each in told] == [(type(error), str(error))] * 3

        agent.answer = lambda: Response(200, b"done")

        assert (await repeats.answer(KEY, agent.run)).body == b"done"
        assert agent.runs == 2

    async def test_a_fault_that_nobody_waits_for(
        self, repeats: Repeats, agent: ScriptedAgent, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """It is logged."""
        agent.goes_on.clear()
        agent.fails(RuntimeError("a fault of ours"))
        asking = asyncio.ensure_future(repeats.answer(KEY, agent.run))
        await agent.begun.wait()
        asking.cancel()
        await waiting()
        agent.goes_on.set()
        await waiting()

        line = json.loads(capfd.readouterr().err)
        assert (line["message"], line["errorMessage"]) == ("an invocation failed", "a fault of ours")

    @pytest.mark.parametrize("error", [agent_failed("it broke"), ConnectionResetError("it broke")])
    async def test_what_is_kept_keeps_no_more(
        self, repeats: Repeats, agent: ScriptedAgent, error: ApiError | ConnectionResetError
    ) -> None:
        """An error that is kept for a repeat does not keep what those were at who were told of it."""

        class Request:
            pass

        async def ask() -> weakref.ref[Request]:
            request = Request()
            with pytest.raises(type(error)):
                await body_of(repeats.answer(KEY, agent.run))
            return weakref.ref(request)

        if isinstance(error, ApiError):
            agent.fails(error)
        else:
            agent.stream().give(error)
        asked = [await ask() for _ in range(2)]
        gc.collect()

        assert [request() for request in asked] == [None, None]
        assert agent.runs == 1

    async def test_a_fault_in_a_body(
        self, repeats: Repeats, agent: ScriptedAgent, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """The client sees it break off; the operator sees why."""
        agent.stream().give(b"one", KeyError("a fault of ours"))

        with pytest.raises(ConnectionResetError):
            await body_of(repeats.answer(KEY, agent.run))

        line = json.loads(capfd.readouterr().err)
        assert (line["message"], line["errorType"]) == ("an answer broke off", "KeyError")

    async def test_a_body_that_breaks_off(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """Everybody gets what there was, and then the same break."""
        agent.stream().give(b"one ", b"two", ConnectionResetError("the process has gone"))

        for _ in range(2):
            response = await repeats.answer(KEY, agent.run)
            assert not isinstance(response.body, bytes)
            got = b""
            while len(got) < len(b"one two"):
                got += await anext(response.body)
            assert got == b"one two"
            with pytest.raises(ConnectionResetError, match="the process has gone"):
                await anext(response.body)
            await response.body.aclose()

        assert agent.runs == 1


class TestStreams:
    """Bodies that come in chunks."""

    async def test_a_repeat_while_it_runs(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """It gets the stream from its start, and what follows as it comes."""
        body = agent.stream().give(b"one ")
        first = await repeats.answer(KEY, agent.run)
        assert not isinstance(first.body, bytes)
        assert await anext(first.body) == b"one "

        repeat = await repeats.answer(KEY, agent.run)
        assert not isinstance(repeat.body, bytes)
        assert await anext(repeat.body) == b"one "
        following = asyncio.gather(anext(first.body), anext(repeat.body))
        body.give(b"two ")
        assert set(await following) == {b"two "}
        body.give(b"three", None)

        assert [await body_of(first), await body_of(repeat)] == [b"three"] * 2
        assert agent.runs == 1

    async def test_a_small_one_that_has_ended(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """A repeat gets it in one piece."""
        agent.stream().give(b"one ", b"two", None)
        await body_of(repeats.answer(KEY, agent.run))

        assert (await repeats.answer(KEY, agent.run)).body == b"one two"

    async def test_a_large_one(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """It is on the disk, and the same for everybody, at the same time and later."""
        body = agent.stream()
        asking = [asyncio.ensure_future(body_of(repeats.answer(KEY, agent.run))) for _ in range(20)]
        for start in range(0, len(LARGE), 30_000):
            body.give(LARGE[start : start + 30_000])
        body.give(None)
        assert set(await asyncio.gather(*asking)) == {LARGE}

        repeat = await repeats.answer(KEY, agent.run)

        assert not isinstance(repeat.body, bytes)
        assert repeat.headers["Content-Length"] == str(len(LARGE))
        assert await body_of(repeat) == LARGE

    async def test_a_large_one_in_one_piece(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """An answer that is there at once may be large too, and says its length."""
        agent.answer = lambda: Response(200, LARGE)

        for _ in range(2):
            response = await repeats.answer(KEY, agent.run)
            assert response.headers["Content-Length"] == str(len(LARGE))
            assert await body_of(response) == LARGE

    async def test_nobody_reads(self, made: Made, agent: ScriptedAgent) -> None:
        """A stream that nobody reads is broken off after a while, and a repeat hears of it."""
        repeats = made(linger=0.01)
        body = agent.stream().give(b"one ")
        first = await repeats.answer(KEY, agent.run)
        assert not isinstance(first.body, bytes)
        await anext(first.body)
        await first.body.aclose()

        await body.closed.wait()
        await waiting()

        with pytest.raises(ApiError, match="nobody read it") as refused:
            await repeats.answer(KEY, agent.run)
        assert (refused.value.status, agent.runs) == (409, 1)

    async def test_the_client_leaves_before_it_begins(self, made: Made, agent: ScriptedAgent) -> None:
        """A stream that nobody has ever read is broken off too."""
        repeats = made(linger=0.01)
        body = agent.stream()
        agent.goes_on.clear()
        asking = asyncio.ensure_future(repeats.answer(KEY, agent.run))
        await agent.begun.wait()
        asking.cancel()
        await waiting()
        agent.goes_on.set()

        await body.closed.wait()

    async def test_a_repeat_comes_in_time(self, made: Made, agent: ScriptedAgent) -> None:
        """A stream that is read again goes on for as long as it likes."""
        loop = asyncio.get_running_loop()
        repeats = made(linger=0.2)
        body = agent.stream().give(b"one ")
        first = await repeats.answer(KEY, agent.run)
        assert not isinstance(first.body, bytes)
        await first.body.aclose()
        left = loop.time()

        repeat = await repeats.answer(KEY, agent.run)
        await asyncio.sleep(left + 0.3 - loop.time())
        body.give(b"two", None)

        assert await body_of(repeat) == b"one two"

    async def test_a_plain_answer_is_run_to_its_end(self, made: Made, agent: ScriptedAgent) -> None:
        """What has no stream is never broken off: its answer is there for a repeat."""
        repeats = made(linger=0.0)
        agent.goes_on.clear()
        asking = asyncio.ensure_future(repeats.answer(KEY, agent.run))
        await agent.begun.wait()
        asking.cancel()
        await waiting()
        agent.goes_on.set()
        await waiting()

        assert (await repeats.answer(KEY, agent.run)).body == b"run 1"


class TestTooLarge:
    """Answers that cannot be given twice."""

    async def test_the_slowest_reader_bounds_it(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """Once it is too large to be kept, the body comes no faster than each of its readers reads."""
        body = agent.stream().give(bytes(MAX_BYTES))
        first, second = [await repeats.answer(KEY, agent.run) for _ in range(2)]
        body.give(b"1", b"2", b"3", None)
        quick = asyncio.ensure_future(body_of(first))
        await body.asked_for(2)
        for _ in range(100):
            await asyncio.to_thread(bool)  # the quick one reads what there is on the disk
        assert body.asked == 2
        assert not quick.done()

        assert await body_of(second) == bytes(MAX_BYTES) + b"123"
        assert await quick == bytes(MAX_BYTES) + b"123"
        assert body.closed.is_set()

    async def test_a_later_repeat(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """It is told so, at once and later, and the agent does not run again."""
        body = agent.stream().give(bytes(MAX_BYTES), b"1")
        first = await repeats.answer(KEY, agent.run)
        reading = asyncio.ensure_future(body_of(first))
        await body.asked_for(3)

        for _ in range(2):
            with pytest.raises(ApiError, match="too large to give twice") as refused:
                await repeats.answer(KEY, agent.run)
            assert refused.value.status == 409
            body.give(None)
            await reading
        assert agent.runs == 1

    async def test_in_one_piece(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """Whoever waits for it gets it."""
        agent.answer = lambda: Response(200, bytes(MAX_BYTES + 1))
        answers = await asyncio.gather(*(body_of(repeats.answer(KEY, agent.run)) for _ in range(3)))

        assert set(answers) == {bytes(MAX_BYTES + 1)}
        with pytest.raises(ApiError, match="too large to give twice"):
            await repeats.answer(KEY, agent.run)

    async def test_all_readers_leave(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """It is broken off at once: no repeat could read it."""
        body = agent.stream().give(bytes(MAX_BYTES), b"1")
        first = await repeats.answer(KEY, agent.run)
        assert not isinstance(first.body, bytes)
        await anext(first.body)
        await first.body.aclose()

        await body.closed.wait()

    async def test_the_disk_is_full(self, made: Made, agent: ScriptedAgent) -> None:
        """An answer for which there is no room reaches whoever reads it all the same."""
        repeats = made(max_disk=100_000)
        body = agent.stream()
        reading = asyncio.ensure_future(body_of(repeats.answer(KEY, agent.run)))
        for start in range(0, len(LARGE), 30_000):
            body.give(LARGE[start : start + 30_000])
        body.give(None)

        assert await reading == LARGE
        with pytest.raises(ApiError, match="too large to give twice"):
            await repeats.answer(KEY, agent.run)


class TestKeeping:
    """How long answers are kept, and how many."""

    async def test_for_some_time_after_the_end(self, made: Made, agent: ScriptedAgent) -> None:
        """An answer is forgotten 300 s after its end."""
        clock = Clock()
        repeats = made(clock=clock)
        await repeats.answer(KEY, agent.run)

        clock.now += 299.9
        assert (await repeats.answer(KEY, agent.run)).body == b"run 1"
        clock.now += 0.1
        assert (await repeats.answer(KEY, agent.run)).body == b"run 2"

    async def test_a_long_run_is_not_forgotten(self, made: Made, agent: ScriptedAgent) -> None:
        """What has not ended is kept however long it takes."""
        clock = Clock()
        repeats = made(clock=clock)
        agent.goes_on.clear()
        first = asyncio.ensure_future(repeats.answer(KEY, agent.run))
        await agent.begun.wait()
        clock.now += 900.0
        repeat = asyncio.ensure_future(repeats.answer(KEY, agent.run))
        await waiting()
        agent.goes_on.set()

        assert [(await first).body, (await repeat).body] == [b"run 1"] * 2

    async def test_without_another_request(self, agent: ScriptedAgent) -> None:
        """What a large answer has of the disk is given back when its time is over, though nobody asks any more."""
        before = open_files()
        repeats = Repeats(0.05, MAX_BYTES)
        agent.answer = lambda: Response(200, LARGE)
        await body_of(repeats.answer(KEY, agent.run))
        assert open_files() > before

        while open_files() > before:  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0.01)
        await repeats.close()

    async def test_whoever_reads_it_goes_on(self, made: Made, agent: ScriptedAgent) -> None:
        """An answer that is forgotten while it is read is read to its end."""
        clock = Clock()
        repeats = made(clock=clock)
        agent.answer = lambda: Response(200, LARGE)
        await body_of(repeats.answer(KEY, agent.run))
        repeat = await repeats.answer(KEY, agent.run)
        clock.now += 300.0
        await body_of(repeats.answer(replace(KEY, session_id="other"), agent.run))

        assert await body_of(repeat) == LARGE

    @pytest.mark.parametrize(
        ("limits", "size"),
        [({"max_tapes": 2}, 10), ({"max_memory": 25}, 10), ({"max_disk": 250_000}, 100_000)],
        ids=["answers", "memory", "disk"],
    )
    async def test_the_oldest_goes_first(
        self, made: Made, agent: ScriptedAgent, limits: dict[str, int], size: int
    ) -> None:
        """Of more answers than there is room for the newest are kept."""
        repeats = made(**limits)
        agent.answer = lambda: Response(200, bytes(size))
        keys = [replace(KEY, invocation_id=str(number)) for number in range(3)]
        for key in keys:
            await body_of(repeats.answer(key, agent.run))

        await body_of(repeats.answer(keys[2], agent.run))
        await body_of(repeats.answer(keys[1], agent.run))
        assert agent.runs == 3
        await body_of(repeats.answer(keys[0], agent.run))
        assert agent.runs == 4

    async def test_too_many_at_a_time(self, made: Made, agent: ScriptedAgent) -> None:
        """What is under way is never forgotten: another is to come again later."""
        repeats = made(max_tapes=1)
        agent.goes_on.clear()
        first = asyncio.ensure_future(repeats.answer(KEY, agent.run))
        await agent.begun.wait()

        with pytest.raises(ApiError, match="Too many") as refused:
            await repeats.answer(replace(KEY, session_id="other"), agent.run)

        assert refused.value.status == 429
        agent.goes_on.set()
        assert (await first).body == b"run 1"


class TestClosing:
    """The host stops."""

    async def test_a_run(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """Whoever waits for a run, or for one that has not begun, is told to come again."""
        agent.goes_on.clear()
        first = asyncio.ensure_future(repeats.answer(KEY, agent.run))
        await agent.begun.wait()
        second = asyncio.ensure_future(repeats.answer(replace(KEY, session_id="other"), agent.run))

        await repeats.close()

        for asking in (first, second):
            with pytest.raises(ApiError) as told:
                await asking
            assert told.value.status == 500
        with pytest.raises(ApiError):
            await repeats.answer(replace(KEY, session_id="third"), agent.run)

    async def test_a_stream(self, repeats: Repeats, agent: ScriptedAgent) -> None:
        """Whoever reads a stream sees it break off, and what it comes from is closed."""
        body = agent.stream().give(b"one")
        first = await repeats.answer(KEY, agent.run)
        assert not isinstance(first.body, bytes)
        await anext(first.body)

        await repeats.close()

        with pytest.raises(ConnectionResetError):
            await anext(first.body)
        assert body.closed.is_set()
        await first.body.aclose()

    async def test_a_body_that_cannot_be_closed(
        self, repeats: Repeats, agent: ScriptedAgent, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A fault there takes nothing from the answer, and is logged."""

        class Stubborn(ScriptedBody):
            async def aclose(self) -> None:
                raise RuntimeError("no")

        body = Stubborn().give(b"one", None)
        agent.answer = lambda: Response(200, body)
        assert await body_of(repeats.answer(KEY, agent.run)) == b"one"
        await waiting()

        assert (await repeats.answer(KEY, agent.run)).body == b"one"
        assert json.loads(capfd.readouterr().err)["errorMessage"] == "no"
