"""How sessions start: one process for an id, whoever comes and goes meanwhile."""

from __future__ import annotations

import asyncio

import attrs
import pytest

from outlast.core.session import EndReason, SessionState
from outlastd.session_host.api_error import ApiError
from outlastd.session_host.guest_client import PingFailed
from outlastd.session_host.ports import Exit, LaunchFailed
from outlastd.session_host.principal import Principal
from outlastd.session_host.use import Use

from .fake_clock import settle
from .stage import OPERATOR, Stage, key, make_config

REFUSED = PingFailed("no answer: ClientConnectorError")


def begin(stage: Stage, number: int = 1) -> asyncio.Task[Use]:
    """Ask for a use, and do not wait for it."""
    return asyncio.create_task(stage.sessions.use(key(number), OPERATOR))


async def refusal(asking: asyncio.Task[Use]) -> ApiError:
    """Return what a use is answered that cannot be had."""
    with pytest.raises(ApiError) as raised:
        await asking
    return raised.value


async def test_first_use_starts_a_process(stage: Stage) -> None:
    """What begins is on record before the process runs; the use is given out once the process answers."""
    stage.says[key().session_id] = REFUSED
    asking = begin(stage)
    await stage.clock.advance(5)
    assert stage.store.log == [("begin", key()), ("launch", key())]
    assert not asking.done()

    del stage.says[key().session_id]
    await stage.clock.advance(1)
    use = await asking
    assert stage.record().state is SessionState.RUNNING
    assert use.session == stage.record()
    assert use.session.principal == "operator"
    assert use.process is stage.launcher.started[0]


async def test_same_id_same_process(stage: Stage) -> None:
    """A second use of an id is one of the same process; another id has another."""
    first, second, other = [await stage.sessions.use(key(number), OPERATOR) for number in (1, 1, 2)]
    assert first.process is second.process
    assert first.guest is second.guest
    assert other.process is not first.process
    assert len(stage.sessions.processes()) == 2


async def test_others_meanwhile_are_told_to_come_again(stage: Stage) -> None:
    """While a session starts, its first caller waits, and everybody else is told so at once; one process is started."""
    stage.launcher.lets.clear()
    asking = [begin(stage) for _ in range(50)]
    await settle()
    done = [task for task in asking if task.done()]
    assert len(done) == 49
    for task in done:
        assert (await refusal(task)).kind == "RetryableConflictException"

    stage.launcher.lets.set()
    await settle()
    assert sum(task.exception() is None for task in asking) == 1
    assert len(stage.launcher.started) == 1


async def test_start_goes_on_without_its_caller(stage: Stage) -> None:
    """A caller that leaves takes no start with it: the next one finds the session ready."""
    stage.launcher.lets.clear()
    asking = begin(stage)
    await settle()
    asking.cancel()
    await settle()
    stage.launcher.lets.set()
    await settle()
    await stage.sessions.use(key(), OPERATOR)
    assert len(stage.launcher.started) == 1


async def test_few_start_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more processes start at a time than the configuration says; the others wait in line, which costs no time."""
    config = attrs.evolve(make_config(start_timeout=10), max_starting=2)
    stage = Stage(monkeypatch, config)
    for number in range(5):
        stage.says[key(number).session_id] = REFUSED
    asking = [begin(stage, number) for number in range(5)]
    await settle()
    assert [session.state for session in stage.store.kept.values()] == [SessionState.STARTING] * 5
    await stage.clock.advance(9)
    assert len(stage.launcher.started) == 2

    stage.says.clear()
    await stage.clock.advance(2)
    assert all([await task for task in asking])


@pytest.mark.parametrize("failure", [LaunchFailed("no such program"), LaunchFailed("its user cannot read it")])
async def test_launch_that_fails(stage: Stage, failure: LaunchFailed) -> None:
    """A program that cannot be started is the caller's to know, and the next use tries again."""
    stage.launcher.failure = failure
    error = await refusal(begin(stage))
    assert (error.status, error.kind, error.ran) == (424, "RuntimeClientError", False)
    assert error.message == f"the agent could not be started: {failure}"
    assert stage.record().end_reason is EndReason.START_FAILED
    assert not stage.planner.open

    stage.launcher.failure = None
    assert (await stage.sessions.use(key(), OPERATOR)).session.run == 2


async def test_process_that_ends_before_it_is_ready(stage: Stage) -> None:
    """A process that ends early fails the start at once, with how it ended."""
    stage.says[key().session_id] = REFUSED
    asking = begin(stage)
    await settle()
    stage.launcher.started[0].die(Exit(code=1))
    error = await refusal(asking)
    assert error.message == "the agent's process ended with exit code 1 before it answered /ping"
    assert not error.ran
    assert stage.record().end_reason is EndReason.START_FAILED
    assert stage.launcher.started[0].graces == []


async def test_process_that_is_never_ready(stage: Stage) -> None:
    """A process that does not answer in time is stopped, and the caller hears what it said to the pings."""
    stage.says[key().session_id] = REFUSED
    asking = begin(stage)
    await stage.clock.advance(119)
    assert not asking.done()
    await stage.clock.advance(1)
    message = "the agent did not answer /ping within 120 s: no answer: ClientConnectorError"
    assert (await refusal(asking)).message == message
    assert not stage.launcher.started[0].alive
    assert stage.record().end_message == message


async def test_launch_that_hangs(stage: Stage) -> None:
    """A launch counts as a start: what takes too long is given up."""
    stage.launcher.lets.clear()
    asking = begin(stage)
    await stage.clock.advance(120)
    assert (await refusal(asking)).message == "the agent did not answer /ping within 120 s: it was not asked yet"
    assert not stage.planner.open


async def test_stop_during_the_start(stage: Stage) -> None:
    """A session that is stopped while it starts ends then and there; its first caller hears of it."""
    stage.says[key().session_id] = REFUSED
    asking = begin(stage)
    await stage.clock.advance(1)
    await stage.sessions.stop(key(), OPERATOR)
    assert (await refusal(asking)).kind == "ConflictException"
    assert stage.record().end_reason is EndReason.STOP_REQUESTED
    assert not stage.launcher.started[0].alive
    assert not stage.planner.open


async def test_stop_in_line(stage: Stage) -> None:
    """A session that waits in line can be stopped before anything was started for it."""
    stage.launcher.lets.clear()
    asking = [begin(stage, number) for number in range(9)]
    await settle()
    await stage.sessions.stop(key(8), OPERATOR)
    await refusal(asking[8])
    stage.launcher.lets.set()
    await settle()
    assert len(stage.launcher.started) == 8
    assert stage.record(8).end_reason is EndReason.STOP_REQUESTED


async def test_unknown_agent(stage: Stage) -> None:
    """An agent that the configuration does not name is not there."""
    with pytest.raises(ApiError) as raised:
        await stage.sessions.use(key(agent="other"), OPERATOR)
    assert raised.value.status == 404


async def test_too_many_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent has no more sessions than it may; one that has ended makes room."""
    stage = Stage(monkeypatch, make_config(max_sessions=2))
    await stage.sessions.use(key(1), OPERATOR)
    await stage.sessions.use(key(2), OPERATOR)
    error = await refusal(begin(stage, 3))
    assert (error.status, error.ran) == (402, False)
    await stage.sessions.stop(key(1), OPERATOR)
    await stage.sessions.use(key(3), OPERATOR)


async def test_user_of_a_session(stage: Stage) -> None:
    """A session is bound to the user that began it: nobody else uses it, live or ended, and an id leaks nothing."""
    ann, bob = Principal("jwt/ann", user="ann"), Principal("jwt/bob", user="bob")
    backend = Principal("key/backend")
    (await stage.sessions.use(key(), ann)).end()
    for _ in range(2):
        for caller, user in ((bob, ""), (bob, "ann"), (backend, "bob")):
            with pytest.raises(ApiError) as raised:
                await stage.sessions.use(key(), caller, user)
            assert raised.value.status == 403
        for caller, user in ((ann, ""), (backend, "ann"), (backend, "")):
            (await stage.sessions.use(key(), caller, user)).end()
        assert stage.record().user == "ann"
        await stage.sessions.stop(key(), ann)
        (await stage.sessions.use(key(), ann)).end()
    assert len(stage.launcher.started) == 3


async def test_user_that_a_backend_names(stage: Stage) -> None:
    """A caller that is bound to no user binds a new session to the one that it names."""
    await stage.sessions.use(key(), Principal("key/backend"), "ann")
    assert stage.record().user == "ann"


async def test_prefix_of_a_session(stage: Stage) -> None:
    """A session whose id a caller may not name is not that caller's to use."""
    await stage.sessions.use(key(), OPERATOR)
    with pytest.raises(ApiError) as raised:
        await stage.sessions.use(key(), Principal("key/ci", session_prefix="ci-"))
    assert raised.value.status == 403


async def test_store_outage_at_the_start(stage: Stage) -> None:
    """Nothing is started that cannot be recorded; the caller is told to come again, and it works then."""
    stage.unreachable()
    error = await refusal(begin(stage))
    assert (error.status, error.ran) == (500, False)
    assert not stage.launcher.started

    stage.reachable()
    await stage.sessions.use(key(), OPERATOR)


async def test_store_outage_when_it_is_ready(stage: Stage) -> None:
    """A process whose readiness cannot be recorded is stopped, and the id works again once the store does."""
    stage.launcher.lets.clear()
    asking = begin(stage)
    await settle()
    stage.unreachable()
    stage.launcher.lets.set()
    assert (await refusal(asking)).status == 500
    assert not stage.launcher.started[0].alive
    assert (await refusal(begin(stage))).kind == "RetryableConflictException"

    stage.reachable()
    await stage.clock.advance(10)
    assert (await stage.sessions.use(key(), OPERATOR)).session.run == 2


async def test_session_of_another_host(stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    """A session that another host runs is a conflict, and stays that host's; nothing has ended here."""
    stage.forge(1, host="elsewhere", state=SessionState.RUNNING)
    assert (await refusal(begin(stage))).kind == "ConflictException"
    assert stage.record().host == "elsewhere"
    assert stage.record().state is SessionState.RUNNING
    await settle()
    assert "session ended" not in capfd.readouterr().err


async def test_session_that_an_outage_left_open(stage: Stage) -> None:
    """A run of this host's that is on record though nothing of it lives is ended before the next one begins."""
    stage.forge(1, state=SessionState.STARTING)
    use = await stage.sessions.use(key(), OPERATOR)
    assert use.session.run == 2
    assert [lost for lost, _ in stage.tasks.lost] == [key()]


async def test_fault_of_ours(stage: Stage) -> None:
    """A fault in a launcher ends as an internal error, and leaves nothing behind."""
    stage.launcher.failure = ZeroDivisionError()
    assert (await refusal(begin(stage))).status == 500
    assert stage.record().end_reason is EndReason.START_FAILED
    assert not stage.planner.open
