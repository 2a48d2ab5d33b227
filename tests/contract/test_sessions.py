"""What is recorded of a session, run after run."""

from __future__ import annotations

import asyncio

import pytest

from outlast.core.errors import SessionHeld, SessionNotFound, StoreRefused, StoreUnavailable
from outlast.core.session import EndReason, Session, SessionKey, SessionState
from outlastd.stores.port import TaskStore

from .clock import FakeClock
from .conftest import Backend
from .making import register

KEY = SessionKey("agent", "s" * 33)
#: As long as an id may be, in characters of four bytes.
LONG = "\U0001f9ea" * 1024


async def test_life(store: TaskStore, clock: FakeClock) -> None:
    """A session begins, is ready, is told to stop and has ended: each is read as it was written."""
    began_at = clock.time
    began = await store.sessions.begin(KEY, "host", principal="key/ci", user="ann")
    assert began == await store.sessions.get(KEY)
    assert began == Session(
        KEY, SessionState.STARTING, "host", began.epoch, 1, "key/ci", "ann", created_at=began_at, started_at=began_at
    )

    ready_at = clock.move()
    ready = await store.sessions.ready(KEY, began.epoch)
    assert ready == await store.sessions.get(KEY)
    assert (ready.state, ready.ready_at) == (SessionState.RUNNING, ready_at)

    clock.move()
    stopping = await store.sessions.stopping(KEY, began.epoch)
    assert stopping == await store.sessions.get(KEY)
    assert stopping.state is SessionState.STOPPING

    ended_at = clock.move()
    ended = await store.sessions.end(KEY, began.epoch, EndReason.STOP_REQUESTED, "somebody asked")
    assert ended == await store.sessions.get(KEY)
    assert (ended.state, ended.ready_at, ended.ended_at) == (SessionState.STOPPED, ready_at, ended_at)
    assert (ended.end_reason, ended.end_message) == (EndReason.STOP_REQUESTED, "somebody asked")


async def test_next_run(store: TaskStore, clock: FakeClock) -> None:
    """An id that is used again is the same session, in its next run, bound as it was; nothing is left of its end."""
    first = await store.sessions.begin(KEY, "host", principal="key/ci", user="ann")
    await store.sessions.ready(KEY, first.epoch)
    await store.sessions.end(KEY, first.epoch, EndReason.IDLE_TIMEOUT, "idle")
    clock.move(60)

    again = await store.sessions.begin(KEY, "other", principal="key/cd", user="bob")

    assert again == await store.sessions.get(KEY)
    assert (again.run, again.host, again.state) == (2, "other", SessionState.STARTING)
    assert again.epoch > first.epoch
    assert (again.principal, again.user, again.created_at) == ("key/ci", "ann", first.created_at)
    assert again.started_at == clock.time
    assert (again.ready_at, again.ended_at, again.end_reason, again.end_message) == (None, None, None, "")


@pytest.mark.parametrize("state", [SessionState.STARTING, SessionState.RUNNING, SessionState.STOPPING])
async def test_held(store: TaskStore, state: SessionState) -> None:
    """A session that has not ended does not begin again, whoever asks; the refusal names its host."""
    session = await store.sessions.begin(KEY, "host")
    if state >= SessionState.RUNNING:
        session = await store.sessions.ready(KEY, session.epoch)
    if state >= SessionState.STOPPING:
        session = await store.sessions.stopping(KEY, session.epoch)

    for host in ("host", "other"):
        with pytest.raises(SessionHeld, match="held by the host 'host'") as refused:
            await store.sessions.begin(KEY, host)
        assert (refused.value.host, refused.value.name) == ("host", str(KEY))

    assert session == await store.sessions.get(KEY)


async def test_one_of_many_begins(backend: Backend) -> None:
    """Of many that begin a session at the same time on two stores one does, each time."""
    stores = [await backend.open(), await backend.open()]
    for _ in range(5):
        outcomes = await asyncio.gather(
            *(store.sessions.begin(KEY, f"host-{number}") for number, store in enumerate(stores * 5)),
            return_exceptions=True,
        )

        (began,) = [outcome for outcome in outcomes if isinstance(outcome, Session)]
        refused = [outcome for outcome in outcomes if isinstance(outcome, SessionHeld)]
        assert len(refused) == 9, outcomes
        assert {refusal.host for refusal in refused} == {began.host}
        assert began == await stores[0].sessions.get(KEY)
        await stores[1].sessions.end(KEY, began.epoch, EndReason.PROCESS_ENDED, "")


async def test_older_run(store: TaskStore) -> None:
    """What a run says once another has begun is refused, and changes nothing."""
    old = await store.sessions.begin(KEY, "host")
    await store.sessions.end(KEY, old.epoch, EndReason.HOST_LOST, "")
    new = await store.sessions.begin(KEY, "other")

    for late in (
        store.sessions.ready(KEY, old.epoch),
        store.sessions.stopping(KEY, old.epoch),
        store.sessions.end(KEY, old.epoch, EndReason.PROCESS_ENDED, "late"),
    ):
        with pytest.raises(SessionHeld) as refused:
            await late
        assert refused.value.host == "other"

    assert new == await store.sessions.get(KEY)


async def test_ended_stays(store: TaskStore, clock: FakeClock) -> None:
    """A run that has ended stays as it is, whatever is said of it afterwards."""
    session = await store.sessions.begin(KEY, "host")
    ended = await store.sessions.end(KEY, session.epoch, EndReason.START_FAILED, "exit code 1")
    clock.move()

    assert ended == await store.sessions.end(KEY, session.epoch, EndReason.STOP_REQUESTED, "")
    assert ended == await store.sessions.ready(KEY, session.epoch)
    assert ended == await store.sessions.stopping(KEY, session.epoch)
    assert ended == await store.sessions.get(KEY)


async def test_stopped_before_ready(store: TaskStore) -> None:
    """A session that was told to stop while it started stays so when its process answers."""
    session = await store.sessions.begin(KEY, "host")
    stopping = await store.sessions.stopping(KEY, session.epoch)

    assert stopping == await store.sessions.ready(KEY, session.epoch)


async def test_end_all(store: TaskStore, clock: FakeClock) -> None:
    """Every run of a host that has not ended does, and no other's."""
    keys = [SessionKey("agent", f"{number:033}") for number in range(5)]
    epochs = [(await store.sessions.begin(key, "other" if key == keys[4] else "host")).epoch for key in keys]
    await store.sessions.ready(keys[1], epochs[1])
    await store.sessions.stopping(keys[2], epochs[2])
    before = await store.sessions.end(keys[3], epochs[3], EndReason.IDLE_TIMEOUT, "")
    clock.move()

    ended = await store.sessions.end_all("host", EndReason.HOST_LOST, "the host was killed")

    assert sorted(session.key for session in ended) == keys[:3]
    for session in ended:
        assert session == await store.sessions.get(session.key)
        assert (session.state, session.ended_at) == (SessionState.STOPPED, clock.time)
        assert (session.end_reason, session.end_message) == (EndReason.HOST_LOST, "the host was killed")
    assert before == await store.sessions.get(keys[3])
    assert (await store.sessions.get(keys[4])).state is SessionState.STARTING
    assert await store.sessions.end_all("host", EndReason.HOST_LOST, "") == []


async def test_unknown(store: TaskStore) -> None:
    """A session that nobody has begun does not exist."""
    for asked in (
        store.sessions.get(KEY),
        store.sessions.ready(KEY, 1),
        store.sessions.stopping(KEY, 1),
        store.sessions.end(KEY, 1, EndReason.PROCESS_ENDED, ""),
    ):
        with pytest.raises(SessionNotFound, match="does not exist"):
            await asked


async def test_epochs(store: TaskStore) -> None:
    """Runs of sessions and leases of workers take their epochs from one counter."""
    first = (await store.sessions.begin(KEY, "host")).epoch
    second = (await register(store, "worker")).epoch
    third = (await store.sessions.begin(SessionKey("agent", "t" * 33), "host")).epoch

    assert first < second < third


@pytest.mark.parametrize(
    "key",
    [
        SessionKey("a" * 256, LONG),
        SessionKey("agent", "é\u0301\u202e\ue000\uffff%_'\"\\"),
        SessionKey("agent", " ab"),
        SessionKey("agent ", "ab"),
        SessionKey("1:a", "b"),
    ],
)
async def test_any_text(store: TaskStore, key: SessionKey) -> None:
    """Any text that is one names a session, a user and a reason, and comes back as it was."""
    neighbours = [SessionKey(key.agent, f"{key.session_id[:-1]}!"), SessionKey(f"{key.agent[:-1]}!", key.session_id)]
    began = await store.sessions.begin(key, "host", principal=LONG, user=LONG)
    for neighbour in neighbours:
        await store.sessions.begin(neighbour, "host")

    ended = await store.sessions.end(key, began.epoch, EndReason.PROCESS_ENDED, LONG)

    assert ended == await store.sessions.get(key)
    assert (ended.key, ended.principal, ended.user, ended.end_message) == (key, LONG, LONG, LONG)
    for neighbour in neighbours:
        assert (await store.sessions.get(neighbour)).state is SessionState.STARTING


async def test_refused(store: TaskStore) -> None:
    """What no database can keep as text is refused, and nothing is written."""
    with pytest.raises(StoreRefused):
        await store.sessions.begin(SessionKey("agent", "\ud800"), "host")
    with pytest.raises(StoreRefused):
        await store.sessions.begin(KEY, "host", user="\ud800")

    with pytest.raises(SessionNotFound):
        await store.sessions.get(KEY)


async def test_closed(store: TaskStore) -> None:
    """A store that is closed says so of its sessions too."""
    await store.close()

    with pytest.raises(StoreUnavailable, match="closed"):
        await store.sessions.begin(KEY, "host")
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.sessions.get(KEY)
