"""How long sessions live: eight hours in milliseconds."""

from __future__ import annotations

import json
from datetime import timedelta

import attrs
import pytest

from outlast.core.session import EndReason, SessionState
from outlast.ping import PingStatus
from outlastd.session_host.api_error import ApiError
from outlastd.session_host.guest_client import PingAnswer, PingFailed
from outlastd.session_host.ports import Exit

from .fake_clock import settle
from .stage import BUSY, HEALTHY, OPERATOR, Stage, key, make_config

FAILED = PingFailed("no answer within 5 s")


async def begin(stage: Stage, number: int = 1) -> None:
    """Have a session run, and nobody use it."""
    (await stage.sessions.use(key(number), OPERATOR)).end()


async def test_idle_session_ends(stage: Stage) -> None:
    """A session that nobody uses ends after 15 minutes, and its process with it."""
    await begin(stage)
    await stage.clock.advance(899)
    assert stage.record().state is SessionState.RUNNING

    await stage.clock.advance(1)

    record = stage.record()
    assert record.end_reason is EndReason.IDLE_TIMEOUT
    assert record.end_message == "it was idle for 900 s"
    assert stage.launcher.started[0].graces == [8.0]
    assert stage.tasks.lost == [(key(), "it was idle for 900 s")]
    assert not stage.planner.open
    assert not stage.sessions.processes()


async def test_use_keeps_a_session(stage: Stage) -> None:
    """A session is not idle while it is used, however long that takes, and idles from the end of the use on."""
    async with await stage.sessions.use(key(), OPERATOR):
        await stage.clock.advance(7_200)
    await stage.clock.advance(899)
    assert stage.record().state is SessionState.RUNNING
    await stage.clock.advance(1)
    assert stage.record().end_reason is EndReason.IDLE_TIMEOUT


async def test_sign_of_life_counts_after_the_use(stage: Stage) -> None:
    """The idle clock begins anew with a touch."""
    async with await stage.sessions.use(key(), OPERATOR) as use:
        await stage.clock.advance(100)
        use.touch()
        view = await stage.sessions.view(key(), OPERATOR)
    assert view.state == "ACTIVE"
    assert view.vitals is not None
    assert view.vitals.in_flight == 1


async def test_healthy_busy_keeps_a_session(stage: Stage) -> None:
    """A session that says HealthyBusy lives on, and idles from when it says Healthy again."""
    await begin(stage)
    stage.says[key().session_id] = BUSY
    await stage.clock.advance(20_000)
    assert stage.record().state is SessionState.RUNNING

    stage.says[key().session_id] = HEALTHY
    await stage.clock.advance(890)
    assert stage.record().state is SessionState.RUNNING
    await stage.clock.advance(20)
    assert stage.record().end_reason is EndReason.IDLE_TIMEOUT


async def test_busy_at_the_last_moment(stage: Stage) -> None:
    """A session is asked once more before it ends as idle: it may have begun to work since the last ping."""
    await begin(stage)
    await stage.clock.advance(899)
    stage.says[key().session_id] = BUSY
    await stage.clock.advance(600)
    assert stage.record().state is SessionState.RUNNING


async def test_time_of_last_update_is_honoured(stage: Stage) -> None:
    """What the agent says of when it was done counts, not when it was heard."""
    await begin(stage)
    stage.says[key().session_id] = BUSY
    await stage.clock.advance(995)
    done = int(stage.clock.now().timestamp())
    stage.says[key().session_id] = PingAnswer(PingStatus.HEALTHY, done)
    await stage.clock.advance(899)
    assert stage.record().state is SessionState.RUNNING
    await stage.clock.advance(1.1)
    assert stage.record().end_reason is EndReason.IDLE_TIMEOUT


async def test_work_that_a_use_has_left(stage: Stage) -> None:
    """A process is asked soon after the last use whether it is busy, and not only when the next ping is due."""
    async with await stage.sessions.use(key(), OPERATOR):
        stage.says[key().session_id] = BUSY
    await stage.clock.advance(0.2)
    assert (await stage.sessions.view(key(), OPERATOR)).state == "ACTIVE"


async def test_lifetime_is_never_extended(stage: Stage) -> None:
    """After 8 hours a session ends though it is busy and used, and who uses it is told at once."""
    stage.says[key().session_id] = BUSY
    async with await stage.sessions.use(key(), OPERATOR) as use:
        await stage.clock.advance(28_799)
        assert stage.record().state is SessionState.RUNNING
        await stage.clock.advance(1)
        assert stage.record().end_reason is EndReason.MAX_LIFETIME
        assert await use.until_ended() == "it has lived for the 28800 s that it may"


async def test_wall_clock_ends_nothing(stage: Stage) -> None:
    """A time of day that jumps by a day ends no session, and keeps none."""
    await begin(stage)
    stage.clock.jumped = timedelta(days=1)
    await stage.clock.advance(450)
    stage.clock.jumped = -timedelta(days=1)
    await stage.clock.advance(449)
    assert stage.record().state is SessionState.RUNNING
    await stage.clock.advance(1)
    assert stage.record().end_reason is EndReason.IDLE_TIMEOUT


async def test_unhealthy_session_ends(stage: Stage) -> None:
    """A session whose pings fail for 30 seconds ends, also while it is used; a good one in between starts over."""
    async with await stage.sessions.use(key(), OPERATOR) as use:
        stage.says[key().session_id] = FAILED
        await stage.clock.advance(30)
        stage.says[key().session_id] = HEALTHY
        await stage.clock.advance(10)
        stage.says[key().session_id] = FAILED
        await stage.clock.advance(39)
        assert stage.record().state is SessionState.RUNNING
        await stage.clock.advance(1)
        assert stage.record().end_reason is EndReason.UNHEALTHY
        assert await use.until_ended() == "/ping has failed for 30 s: no answer within 5 s"


async def test_process_that_ends_by_itself(stage: Stage) -> None:
    """A process that ends takes its session with it at once, and whoever uses it hears how it ended."""
    async with await stage.sessions.use(key(), OPERATOR) as use:
        stage.launcher.started[0].die(Exit(signal=9))
        assert await use.until_ended() == "the agent's process ended with signal 9"
        await settle()
        assert stage.record().end_reason is EndReason.PROCESS_ENDED
    assert stage.launcher.started[0].graces == []
    assert stage.tasks.lost == [(key(), "the agent's process ended with signal 9")]


async def test_stopped_id_revives(stage: Stage) -> None:
    """An id that has ended gets a new process with its next use; its lifetime begins anew."""
    for _ in range(3):
        await begin(stage)
        await stage.clock.advance(900)
    assert stage.record().run == 3
    assert stage.record().end_reason is EndReason.IDLE_TIMEOUT
    assert len(stage.launcher.started) == 3


async def test_one_ping_at_a_time(stage: Stage) -> None:
    """A session is pinged every so often, and not more while it is used."""
    async with await stage.sessions.use(key(), OPERATOR):
        assert stage.pings == 1
        await stage.clock.advance(100)
    assert stage.pings == 11


async def test_many_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand sessions live and end by their own clocks."""
    stage = Stage(monkeypatch, make_config(idle_timeout=30.0))
    for number in range(1_000):
        await begin(stage, number)
    assert len(stage.sessions.processes()) == 1_000
    with pytest.raises(ApiError, match="as many as it may"):
        await begin(stage, 1_000)
    await stage.clock.advance(30)
    assert {session.end_reason for session in stage.store.kept.values()} == {EndReason.IDLE_TIMEOUT}
    assert not stage.sessions.processes()


async def test_strict(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """With --strict the log says once when AgentCore would have ended a session that lives on here."""
    stage = Stage(monkeypatch, attrs.evolve(make_config(idle_timeout=3_600.0), strict=True))
    await begin(stage)
    await stage.clock.advance(900)
    assert "AgentCore would" not in capfd.readouterr().err
    await stage.clock.advance(1_000)
    assert capfd.readouterr().err.count("AgentCore would have ended this session") == 1
    await stage.sessions.stop(key(), OPERATOR)


async def test_lines(stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    """The log says when a session has started and why it has ended, in constant messages with fields."""
    await begin(stage)
    await stage.clock.advance(900)
    started, ended = (json.loads(line) for line in capfd.readouterr().err.splitlines())
    names = {"agent": "agent", "sessionId": key().session_id, "run": 1}
    assert started.items() >= (names | {"message": "session started", "pid": 1_000, "seconds": 0.0}).items()
    told = {"reason": "IDLE_TIMEOUT", "why": "it was idle for 900 s", "seconds": 900.0, "exit": "signal 15"}
    assert ended.items() >= (names | {"message": "session ended", "level": "INFO"} | told).items()
