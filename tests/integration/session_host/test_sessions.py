"""Sessions with real processes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from outlast.core.session import EndReason, SessionState
from outlastd.session_host.api_error import ApiError

from .real_stage import OPERATOR, PATIENCE, RealStage, invoke, key, lives, real_stage


async def ended(stage: RealStage, number: int = 1) -> EndReason | None:
    """Wait until a session has ended; return why."""
    async with asyncio.timeout(PATIENCE):
        # Nobody is told of it. It is recorded a moment before the host lets go of it.
        while (view := await stage.sessions.view(key(number), OPERATOR)).vitals is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert view.session.state is SessionState.STOPPED
    return view.session.end_reason


async def test_same_id_same_process(tmp_path: Path) -> None:
    """One id is always the same process, which remembers; another id is another process."""
    async with real_stage(tmp_path) as stage:
        answers = [await stage.ask() for _ in range(3)]
        other = await stage.ask(2)
        assert [answer["count"] for answer in answers] == [1, 2, 3]
        assert len({answer["pid"] for answer in answers}) == 1
        assert other["pid"] != answers[0]["pid"]
        assert {pid for pid, _ in stage.sessions.processes()} == {answers[0]["pid"], other["pid"]}
    assert not lives(other["pid"])


async def test_first_uses_at_once(tmp_path: Path) -> None:
    """Of many who use a new id at once one waits for the start, and the others, who come again, find its process."""

    async def insist(stage: RealStage) -> int:
        while True:
            try:
                pid: int = (await stage.ask())["pid"]
                return pid
            except ApiError as error:
                if error.kind != "RetryableConflictException":
                    raise
                await asyncio.sleep(0.02)

    async with real_stage(tmp_path) as stage, asyncio.timeout(PATIENCE):
        pids = await asyncio.gather(*(insist(stage) for _ in range(40)))
        assert len(set(pids)) == 1
        assert (await stage.store.get(key())).run == 1


async def test_stopped_id_revives(tmp_path: Path) -> None:
    """A stop returns when the process has gone, and the id works in a new one at once."""
    async with real_stage(tmp_path) as stage:
        pids = []
        for run in (1, 2, 3):
            pids.append((await stage.ask())["pid"])
            assert (await stage.store.get(key())).run == run
            await stage.sessions.stop(key(), OPERATOR)
            assert not lives(pids[-1])
        assert len(set(pids)) == 3


async def test_idle_session_ends(tmp_path: Path) -> None:
    """A session that nobody uses ends by itself, and not before its time, in real seconds."""
    async with real_stage(tmp_path, idle_timeout=0.5) as stage:
        loop = asyncio.get_running_loop()
        pid = (await stage.ask(sleep=0.8))["pid"]
        idle_since = loop.time()
        assert await ended(stage) is EndReason.IDLE_TIMEOUT
        assert loop.time() - idle_since >= 0.45
        assert not lives(pid)


async def test_healthy_busy_keeps_a_session(tmp_path: Path) -> None:
    """A session that says HealthyBusy is there after its idle time, and ends once it says Healthy."""
    async with real_stage(tmp_path, idle_timeout=0.3) as stage:
        await stage.ask(busy=3600)
        await asyncio.sleep(1)
        view = await stage.sessions.view(key(), OPERATOR)
        assert view.as_json()["busy"]
        assert view.state == "ACTIVE"
        await stage.ask(busy=0)
        assert await ended(stage) is EndReason.IDLE_TIMEOUT


async def test_lifetime_is_never_extended(tmp_path: Path) -> None:
    """A session that is busy and in use ends when it has lived for as long as it may."""
    async with real_stage(tmp_path, idle_timeout=0.5, max_lifetime=4) as stage:
        async with await stage.sessions.use(key(), OPERATOR) as use:
            await invoke(use, busy=3600)
            async with asyncio.timeout(PATIENCE):
                assert await use.until_ended() == "it has lived for the 4 s that it may"
        assert await ended(stage) is EndReason.MAX_LIFETIME


@pytest.mark.parametrize("sick", [{"unhealthy": 3600}, {"silent": 3600}])
async def test_unhealthy_session_ends(tmp_path: Path, sick: dict[str, float]) -> None:
    """A session whose pings fail, or hang, ends, though somebody uses it."""
    async with real_stage(tmp_path, unhealthy_after=0.3) as stage:
        async with await stage.sessions.use(key(), OPERATOR) as use:
            pid = (await invoke(use, **sick))["pid"]
            async with asyncio.timeout(PATIENCE):
                assert "/ping has failed for 0.3 s" in await use.until_ended()
        assert await ended(stage) is EndReason.UNHEALTHY
        assert not lives(pid)


@pytest.mark.parametrize(("way", "how"), [({"exit": 3}, "exit code 3"), ({"kill": 9}, "signal 9")])
async def test_process_that_ends_by_itself(tmp_path: Path, way: dict[str, int], how: str) -> None:
    """A process that ends is noticed without a ping, and whoever uses the session is told how it ended."""
    async with real_stage(tmp_path, pinged_every=3600) as stage:
        async with await stage.sessions.use(key(), OPERATOR) as use:
            asking = asyncio.create_task(invoke(use, **way))
            async with asyncio.timeout(PATIENCE):
                assert await use.until_ended() == f"the agent's process ended with {how}"
            await asyncio.wait([asking])
            assert asking.exception() is not None
        assert await ended(stage) is EndReason.PROCESS_ENDED
        assert (await stage.ask())["count"] == 1


async def test_process_that_ends_before_it_is_ready(tmp_path: Path) -> None:
    """A program that ends before it answers fails its first use, with how it ended; the next use tries again."""
    async with real_stage(tmp_path) as stage:
        stage.planner.start = {"exit": 1}
        with pytest.raises(ApiError, match="exit code 1 before it answered /ping") as raised:
            await stage.ask()
        assert (raised.value.status, raised.value.ran) == (424, False)
        assert await ended(stage) is EndReason.START_FAILED
        stage.planner.start = {}
        assert (await stage.ask())["count"] == 1


async def test_process_that_is_never_ready(tmp_path: Path) -> None:
    """A program that does not listen in time is stopped."""
    async with real_stage(tmp_path, start_timeout=0.5, stop_grace=0.2) as stage:
        stage.planner.start = {"sleep": 3600}
        with pytest.raises(ApiError, match=r"did not answer /ping within 0\.5 s"):
            await stage.ask()
        assert await ended(stage) is EndReason.START_FAILED


async def test_stop_during_the_start(tmp_path: Path) -> None:
    """A session that is stopped while it starts leaves no process."""
    async with real_stage(tmp_path, stop_grace=0.2) as stage:
        stage.planner.start = {"sleep": 3600}
        asking = asyncio.create_task(stage.ask())
        async with asyncio.timeout(PATIENCE):
            while not stage.sessions.processes():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            ((pid, _),) = stage.sessions.processes()
            await stage.sessions.stop(key(), OPERATOR)
        assert not lives(pid)
        with pytest.raises(ApiError, match="stopped before it was ready"):
            await asking


async def test_host_that_stops(tmp_path: Path) -> None:
    """A host that stops leaves no process, and its sessions on record; the next host of its name revives them."""
    async with real_stage(tmp_path) as stage:
        pids = [(await stage.ask(number, ignore_sigterm=number == 1, child=True))["pid"] for number in range(4)]
        await stage.sessions.close(0.3)
        assert not any(lives(pid) for pid in pids)
        assert {await ended(stage, number) for number in range(4)} == {EndReason.HOST_STOPPED}
    async with real_stage(tmp_path) as stage:
        assert (await stage.ask(1))["pid"] not in pids
        assert (await stage.store.get(key(1))).run == 2
