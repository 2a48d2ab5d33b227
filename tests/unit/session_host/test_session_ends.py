"""How sessions end: the process first, then the tasks, then the record, whoever waits and whatever fails."""

from __future__ import annotations

import asyncio

import pytest

from outlast.core.errors import StoreRefused, StoreUnavailable
from outlast.core.session import EndReason, SessionKey, SessionState
from outlastd.session_host.api_error import ApiError
from outlastd.session_host.principal import Principal

from .fake_clock import settle
from .stage import OPERATOR, Stage, key, make_config


async def test_stop(stage: Stage) -> None:
    """A stop is on record while the process ends, tells who uses the session, and returns when nothing is left."""
    use = await stage.sessions.use(key(), OPERATOR)
    process = stage.launcher.started[0]
    process.obeys.clear()
    stopping = asyncio.create_task(stage.sessions.stop(key(), OPERATOR))
    assert await use.until_ended() == "operator has asked for it"
    await settle()
    assert stage.record().state is SessionState.STOPPING
    assert not stopping.done()
    with pytest.raises(ApiError) as raised:
        await stage.sessions.use(key(), OPERATOR)
    assert raised.value.kind == "RetryableConflictException"

    process.obeys.set()
    await stopping
    assert stage.record().end_reason is EndReason.STOP_REQUESTED
    assert stage.tasks.lost == [(key(), "operator has asked for it")]
    assert not stage.planner.open
    use.end()


async def test_id_is_free_when_stop_returns(stage: Stage) -> None:
    """Whoever has stopped a session can use its id at once."""
    for run in range(1, 4):
        assert (await stage.sessions.use(key(), OPERATOR)).session.run == run
        await stage.sessions.stop(key(), OPERATOR)


async def test_two_stops(stage: Stage) -> None:
    """A second stop waits for the first one; a third, once it has ended, finds nothing."""
    await stage.sessions.use(key(), OPERATOR)
    process = stage.launcher.started[0]
    process.obeys.clear()
    stops = [asyncio.create_task(stage.sessions.stop(key(), OPERATOR)) for _ in range(2)]
    await settle()
    assert not any(stop.done() for stop in stops)
    process.obeys.set()
    await asyncio.gather(*stops)
    assert process.graces == [8.0]
    with pytest.raises(ApiError) as raised:
        await stage.sessions.stop(key(), OPERATOR)
    assert raised.value.status == 404


async def test_stop_goes_on_without_its_caller(stage: Stage) -> None:
    """A caller that leaves takes no stop with it."""
    await stage.sessions.use(key(), OPERATOR)
    stage.launcher.started[0].obeys.clear()
    stopping = asyncio.create_task(stage.sessions.stop(key(), OPERATOR))
    await settle()
    stopping.cancel()
    await settle()
    stage.launcher.started[0].obeys.set()
    await settle()
    assert stage.record().state is SessionState.STOPPED


@pytest.mark.parametrize(
    "stranger",
    [Principal("jwt/bob", user="bob"), Principal("x", agents=frozenset()), Principal("x", session_prefix="x")],
)
async def test_stop_by_a_stranger(stage: Stage, stranger: Principal) -> None:
    """A session that a caller may not know of is not there to be stopped, as one that never was."""
    await stage.sessions.use(key(), Principal("jwt/ann", user="ann"))
    messages = set()
    for number in (1, 2):
        with pytest.raises(ApiError) as raised:
            await stage.sessions.stop(key(number), stranger)
        assert raised.value.status == 404
        messages.add(raised.value.message.replace(key(number).session_id, "ID"))
    assert len(messages) == 1
    assert stage.record().state is SessionState.RUNNING


async def test_stop_of_another_hosts_session(stage: Stage) -> None:
    """A session that another host runs is a conflict for whoever may know of it; one that does not run is not there."""
    stage.forge(1, host="elsewhere", state=SessionState.RUNNING, user="ann")
    for caller, status in ((OPERATOR, 409), (Principal("jwt/ann", user="ann"), 409), (Principal("x", user="bob"), 404)):
        with pytest.raises(ApiError) as raised:
            await stage.sessions.stop(key(), caller)
        assert raised.value.status == status
        assert ("held by the host 'elsewhere'" in raised.value.message) == (status == 409)
    assert stage.record().state is SessionState.RUNNING

    for ended in ({"host": "elsewhere", "state": SessionState.STOPPED}, {"host": "host"}):
        stage.forge(1, **ended)
        with pytest.raises(ApiError) as raised:
            await stage.sessions.stop(key(), OPERATOR)
        assert raised.value.status == 404


async def test_store_outage_at_the_end(stage: Stage) -> None:
    """What is to end ends though the store is out of reach; the id works again once the end is recorded."""
    await stage.sessions.use(key(), OPERATOR)
    stage.unreachable()
    await stage.sessions.stop(key(), OPERATOR)
    assert not stage.launcher.started[0].alive
    assert not stage.planner.open
    assert stage.record().state is SessionState.RUNNING
    assert (await stage.sessions.view(key(), OPERATOR)).state == "STOPPING"
    assert not stage.sessions.processes()

    await stage.clock.advance(3_600)
    with pytest.raises(ApiError) as raised:
        await stage.sessions.use(key(), OPERATOR)
    assert raised.value.kind == "RetryableConflictException"

    stage.reachable()
    await stage.clock.advance(60)
    assert stage.record().end_reason is EndReason.STOP_REQUESTED
    assert (await stage.sessions.use(key(), OPERATOR)).session.run == 2


async def test_end_that_the_store_refuses(stage: Stage) -> None:
    """An end that the store will not take is tried again, too: a session is never forgotten half stopped."""
    await stage.sessions.use(key(), OPERATOR)
    stage.store.failure = StoreRefused("not this")
    await stage.sessions.stop(key(), OPERATOR)
    stage.reachable()
    await stage.clock.advance(1)
    assert stage.record().end_reason is EndReason.STOP_REQUESTED


async def test_run_that_another_host_has_taken(stage: Stage) -> None:
    """A run whose session is another host's by now ends without touching that host's record."""
    await stage.sessions.use(key(), OPERATOR)
    stage.forge(1, host="elsewhere", state=SessionState.RUNNING)
    await stage.sessions.stop(key(), OPERATOR)
    assert stage.record().host == "elsewhere"
    assert stage.record().state is SessionState.RUNNING
    assert not stage.sessions.processes()


async def test_faults_of_ours(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that cannot be stopped and a folder that cannot be cleared keep no session from ending."""

    async def fail(_: object) -> None:
        raise OSError("no")

    await stage.sessions.use(key(), OPERATOR)
    monkeypatch.setattr(stage.launcher.started[0], "stop", fail)
    monkeypatch.setattr(stage.planner, "clear", fail)
    await stage.sessions.stop(key(), OPERATOR)
    assert stage.record().end_reason is EndReason.STOP_REQUESTED
    assert (await stage.sessions.use(key(), OPERATOR)).session.run == 2


async def test_host_stops(stage: Stage) -> None:
    """A host that stops ends all its sessions at once, within its own grace, and takes no more uses."""
    uses = [await stage.sessions.use(key(number), OPERATOR) for number in range(3)]
    for process in stage.launcher.started:
        process.obeys.clear()
    closing = asyncio.create_task(stage.sessions.close(3.0))
    await settle()
    assert [process.graces for process in stage.launcher.started] == [[3.0]] * 3
    told = [asyncio.create_task(use.until_ended()) for use in uses]
    await settle()
    assert not any(task.done() for task in told)  # an answer may still come
    for number in (1, 7):
        with pytest.raises(ApiError) as raised:
            await stage.sessions.use(key(number), OPERATOR)
        assert raised.value.kind == "RetryableConflictException"

    for process in stage.launcher.started:
        process.obeys.set()
    await closing
    assert {await task for task in told} == {"the session host was stopped"}
    assert {session.end_reason for session in stage.store.kept.values()} == {EndReason.HOST_STOPPED}


async def test_host_stops_at_once(stage: Stage) -> None:
    """A host that is told a second time to stop gives processes no more time, also those that were ending already."""
    await stage.sessions.use(key(), OPERATOR)
    process = stage.launcher.started[0]
    process.obeys.clear()
    stopping = [asyncio.create_task(stage.sessions.stop(key(), OPERATOR))]
    await settle()
    stopping += [asyncio.create_task(stage.sessions.close(grace)) for grace in (3.0, 0)]
    await settle()
    assert process.graces == [8.0, 3.0, 0]
    process.obeys.set()
    await asyncio.gather(*stopping)
    assert stage.record().end_reason is EndReason.STOP_REQUESTED


async def test_loop_that_ends(stage: Stage) -> None:
    """Whoever waits for a session whose host is torn down is let go."""
    use = await stage.sessions.use(key(), OPERATOR)
    told = asyncio.create_task(use.until_ended())
    await settle()
    (life,) = (task for task in asyncio.all_tasks() if task.get_name() == f"outlast {key()}")
    life.cancel()
    assert await told == "the session host has ended"


async def test_grace_of_the_agent_is_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that stops waits for no process longer than its agent's own grace."""
    stage = Stage(monkeypatch, make_config(stop_grace=2.0))
    await stage.sessions.use(key(), OPERATOR)
    await stage.sessions.close(8.0)
    assert stage.launcher.started[0].graces == [2.0]


async def test_host_stops_without_its_store(stage: Stage) -> None:
    """A host whose store is out of reach ends all the same; the next one of its name records what it could not."""
    await stage.sessions.use(key(), OPERATOR)
    stage.unreachable()
    await stage.sessions.close(8.0)
    assert not stage.launcher.started[0].alive
    assert stage.record().state is SessionState.RUNNING

    stage.reachable()
    again = stage.host(make_config())
    await again.open()
    assert stage.record().end_reason is EndReason.HOST_LOST
    assert stage.tasks.lost[-1] == (key(), "the session host was lost")
    assert (await again.use(key(), OPERATOR)).session.run == 2
    await again.close(0)


async def test_old_records_are_deleted(stage: Stage) -> None:
    """Ended sessions are looked through every ten minutes for those that were kept long enough."""
    await stage.sessions.open()
    await stage.clock.advance(1_200)
    assert [age.days for age in stage.store.deleted] == [7, 7]
    await stage.sessions.close(0)


@pytest.mark.parametrize("at_last", [False, True])
async def test_fault_at_the_end(stage: Stage, monkeypatch: pytest.MonkeyPatch, at_last: bool) -> None:
    """A fault of the host's own while a session ends does not keep its id from being used again."""

    async def fail(session_key: SessionKey, message: str) -> int:
        raise (StoreUnavailable("the store is out of reach") if tries.pop() else RuntimeError("a fault"))

    tries = [False, True] if at_last else [False]
    await stage.sessions.use(key(), OPERATOR)
    with monkeypatch.context() as patch:
        patch.setattr(stage.tasks, "lose", fail)
        await stage.sessions.stop(key(), OPERATOR)
        await stage.clock.advance(5)
    assert not tries
    assert (await stage.sessions.use(key(), OPERATOR)).session.run == 2
    assert stage.record().state is SessionState.RUNNING
