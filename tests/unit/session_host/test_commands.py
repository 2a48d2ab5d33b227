"""InvokeAgentRuntimeCommand: what is asked for, and the events of the answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from outlastd.front_door.response import Response
from outlastd.session_host.api_error import ApiError
from outlastd.session_host.commands import run_command
from outlastd.session_host.ports import Exit

from .scripted_command import ScriptedExecution, ScriptedSession

START: dict[str, Any] = {"contentStart": {}}


def body(**fields: Any) -> bytes:
    """Return the body of a request."""
    return json.dumps({"command": "true", **fields}).encode()


def stdout(text: str) -> dict[str, Any]:
    """Return the event of a command that has written."""
    return {"contentDelta": {"stdout": text}}


def stop(code: int, status: str = "COMPLETED") -> dict[str, Any]:
    """Return the event of a command that has ended."""
    return {"contentStop": {"exitCode": code, "status": status}}


def parsed(data: bytes) -> list[dict[str, Any]]:
    """Return the payloads in some bytes, as botocore reads them."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [json.loads(message.payload) for message in buffer]


async def events(response: Response) -> list[dict[str, Any]]:
    """Read an answer to its end, and close it."""
    assert not isinstance(response.body, bytes)
    read = b"".join([frame async for frame in response.body])
    await response.body.aclose()
    return parsed(read)


class TestTheRequest:
    """What is asked for."""

    async def test_a_command(self) -> None:
        """It runs in a shell, with the time that it is given."""
        session = ScriptedSession(ScriptedExecution())
        for given, seconds in ((body(command="echo $0"), 300.0), (body(command="echo $0", timeout=7), 7.0)):
            await run_command(session.use(), given)

            argv, timeout = session.executed[-1]
            assert (argv[:2], argv[-1], timeout) == (["/bin/sh", "-c"], "echo $0", seconds)

    @pytest.mark.parametrize(
        ("given", "why"),
        [
            (b"", "not JSON"),
            (b"\xff", "not JSON"),
            (b"[" * 200_000, "not JSON"),
            (b"[]", "not a JSON object"),
            (b"{}", "command: a text of 1 to 65,536"),
            (body(command=""), "command: a text"),
            (body(command=["ls"]), "command: a text"),
            (body(command="x" * 65_537), "command: a text"),
            (body(command="é" * 65_536), "command: it has 131,072 bytes"),
            (body(command="a\0b"), "command: it has a null character"),
            (b'{"command": "\\ud800"}', "command: it has half of a surrogate pair"),
            (body(timeout=0), "timeout: a whole number of seconds from 1 to 3,600"),
            (body(timeout=3_601), "timeout: a whole"),
            (body(timeout=True), "timeout: a whole"),
            (body(timeout="5"), "timeout: a whole"),
            (body(timeout=1.5), "timeout: a whole"),
            (b" " * (512 * 1024 + 1), "over the limit"),
        ],
    )
    async def test_one_that_cannot_be_meant(self, given: bytes, why: str) -> None:
        """It is refused, the field named; nothing runs, and the session is not in use any more."""
        session = ScriptedSession(ScriptedExecution())

        with pytest.raises(ApiError, match=why) as refused:
            await run_command(session.use(), given)

        assert (refused.value.status, session.executed, session.uses) == (400, [], 0)

    async def test_the_largest(self) -> None:
        """The limits themselves are allowed."""
        session = ScriptedSession(ScriptedExecution())

        await run_command(session.use(), body(command="x" * 65_536, timeout=3_600))

        assert session.executed[0][1] == 3_600.0

    async def test_one_that_cannot_be_started(self) -> None:
        """The caller hears why, and the session is not in use any more."""
        session = ScriptedSession()

        with pytest.raises(ApiError, match="could not be started: there is no process") as refused:
            await run_command(session.use(), body())

        assert (refused.value.status, refused.value.kind, session.uses) == (424, "RuntimeClientError", 0)


class TestTheAnswer:
    """The events."""

    async def test_in_full(self) -> None:
        """Output comes as it is written; at the end stands the exit code, and the session is in use up to then."""
        execution = ScriptedExecution()
        session = ScriptedSession(execution)
        execution.writes(("stdout", b"one"), ("stderr", b"two"), ("stdout", b"three"))
        execution.ends(Exit(code=3))

        response = await run_command(session.use(), body())
        assert (response.status, response.content_type) == (200, "application/vnd.amazon.eventstream")
        assert session.uses == 1

        assert await events(response) == [
            START,
            stdout("one"),
            {"contentDelta": {"stderr": "two"}},
            stdout("three"),
            stop(3),
        ]
        assert (execution.killed, session.uses) == (0, 0)

    @pytest.mark.parametrize(
        ("how", "last"),
        [(Exit(code=0), stop(0)), (None, stop(124, "TIMED_OUT")), (Exit(signal=15), stop(143))],
        ids=["success", "time is up", "signal"],
    )
    async def test_how_it_ends(self, how: Exit | None, last: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        """A signal is told as a shell tells it, and a command whose time was up as timeout(1) does."""
        monkeypatch.setattr("outlastd.session_host.commands._LATER", 0.01)
        execution = ScriptedExecution()
        execution.ends(how)

        assert await events(await run_command(ScriptedSession(execution).use(), body())) == [START, last]

    async def test_characters_in_several_writes(self) -> None:
        """A character is told when it is complete, on each output by itself; what is none becomes a question mark."""
        execution = ScriptedExecution()
        snowman = "☃".encode()
        execution.writes(
            ("stdout", snowman[:1]),
            ("stderr", snowman[:2]),
            ("stdout", snowman[1:] + b"!"),
            ("stderr", snowman[2:]),
            ("stdout", b"\xff" + snowman[:2]),
        )
        execution.ends(Exit(code=0))

        assert await events(await run_command(ScriptedSession(execution).use(), body())) == [
            START,
            stdout("☃!"),
            {"contentDelta": {"stderr": "☃"}},
            stdout("\ufffd"),
            stdout("\ufffd"),
            stop(0),
        ]

    @pytest.mark.parametrize("data", [b"\xff" * 1_000_000, "☃".encode() * 300_000])
    async def test_much_output(self, data: bytes) -> None:
        """No event has more than 64 KB of it, whatever it is."""
        execution = ScriptedExecution()
        execution.writes(("stdout", data))
        execution.ends(Exit(code=0))

        _, *deltas, _ = await events(await run_command(ScriptedSession(execution).use(), body()))

        texts = [event["contentDelta"]["stdout"] for event in deltas]
        assert "".join(texts) == data.decode(errors="replace")
        assert max(len(text.encode()) for text in texts) <= 64_000

    async def test_silence(self) -> None:
        """A client hears that the command still runs: it would not wait for more than a minute."""
        execution = ScriptedExecution()
        response = await run_command(ScriptedSession(execution).use(), body(), keepalive=0.01)
        assert not isinstance(response.body, bytes)

        assert [parsed(await anext(response.body)) for _ in range(3)] == [[START], [stdout("")], [stdout("")]]
        execution.writes(("stdout", b"one"))
        execution.ends(Exit(code=0))

        assert [event for event in await events(response) if event != stdout("")] == [stdout("one"), stop(0)]

    async def test_it_closes_its_outputs_and_runs_on(self) -> None:
        """The end is told when the command has ended, not before; silence meanwhile is none."""
        execution = ScriptedExecution()
        execution.closes_outputs()
        response = await run_command(ScriptedSession(execution).use(), body(), keepalive=0.01)
        assert not isinstance(response.body, bytes)
        assert [parsed(await anext(response.body)) for _ in range(2)] == [[START], [stdout("")]]

        execution.exits(Exit(code=0))

        assert (await events(response))[-1] == stop(0)


class TestTheEnd:
    """Commands that do not end by themselves."""

    @pytest.mark.parametrize("read", [0, 1, 2])
    async def test_the_client_leaves(self, read: int) -> None:
        """The command is killed, however much of its output was read, and the session is not in use any more."""
        execution = ScriptedExecution()
        session = ScriptedSession(execution)
        execution.writes(("stdout", b"one"), ("stdout", b"two"))
        response = await run_command(session.use(), body())
        assert not isinstance(response.body, bytes)
        for _ in range(read):
            await anext(response.body)

        await response.body.aclose()
        await response.body.aclose()

        assert (execution.killed, session.uses) == (1, 0)

    async def test_the_client_leaves_while_it_is_silent(self) -> None:
        """A cancel of the read leaves nothing behind."""
        execution = ScriptedExecution()
        session = ScriptedSession(execution)
        before = asyncio.all_tasks()
        response = await run_command(session.use(), body())
        assert not isinstance(response.body, bytes)
        await anext(response.body)
        reading = asyncio.ensure_future(anext(response.body))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

        await response.body.aclose()

        assert (execution.killed, session.uses) == (1, 0)
        assert asyncio.all_tasks() == before

    async def test_the_session_ends(self) -> None:
        """The client gets what there was, and then the error."""
        execution = ScriptedExecution()
        session = ScriptedSession(execution)
        execution.writes(("stdout", b"one"))
        response = await run_command(session.use(), body())
        assert not isinstance(response.body, bytes)
        assert parsed(await anext(response.body) + await anext(response.body)) == [START, stdout("one")]

        session.ended.set_result("The session was stopped")

        assert await events(response) == [{"message": "The session was stopped"}]
        assert (execution.killed, session.uses) == (1, 0)

    async def test_the_session_ends_and_the_command_with_it(self) -> None:
        """A command that was killed with its session did not just end."""
        execution = ScriptedExecution()
        session = ScriptedSession(execution)
        response = await run_command(session.use(), body())
        execution.ends(Exit(signal=9))
        asyncio.get_running_loop().call_later(0.02, session.ended.set_result, "The session was stopped")

        assert await events(response) == [START, {"message": "The session was stopped"}]

    async def test_a_command_that_ended_before_its_session(self) -> None:
        """What it said and how it ended is told, though the session has ended since."""
        execution = ScriptedExecution()
        session = ScriptedSession(execution)
        response = await run_command(session.use(), body(), keepalive=0.01)
        assert not isinstance(response.body, bytes)
        await anext(response.body)
        await anext(response.body)
        execution.ends(Exit(code=0))
        for _ in range(20):
            await asyncio.sleep(0)
        session.ended.set_result("The session was stopped")

        assert await events(response) == [stop(0)]
