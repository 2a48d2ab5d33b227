"""Which sessions there are, page by page, what they have under way, and which of them are forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from outlast.core.errors import SessionNotFound
from outlast.core.session import EndReason, Session, SessionKey, SessionState
from outlastd.stores.port import TaskStore
from outlastd.stores.session_port import SessionFilter, SessionPosition

from .clock import FakeClock
from .making import DONE, operations, register, submission

DAY = timedelta(days=1)


def key(number: int, agent: str = "agent") -> SessionKey:
    """Return the key of one of many sessions."""
    return SessionKey(agent, f"session-{number:025}")


def position(session: Session) -> SessionPosition:
    """Return where a page ends whose last session this is."""
    assert session.created_at is not None
    return SessionPosition(session.created_at, session.key)


async def begin(store: TaskStore, clock: FakeClock, number: int, agent: str = "agent", **said: str) -> Session:
    """Begin one of many sessions, a second after the one before."""
    clock.move()
    return await store.sessions.begin(key(number, agent), said.pop("host", "host"), **said)


async def end(store: TaskStore, session: Session) -> None:
    """End a session."""
    await store.sessions.end(session.key, session.epoch, EndReason.IDLE_TIMEOUT, "")


async def pages(store: TaskStore, which: SessionFilter, size: int) -> list[Session]:
    """Return what all pages of a list hold."""
    found: list[Session] = []
    while page := await store.sessions.list(which, size, position(found[-1]) if found else None):
        assert len(page) <= size
        found += page
    return found


async def test_pages(store: TaskStore, clock: FakeClock) -> None:
    """All pages together hold every session once, the newest first; of one moment the greatest key."""
    for number in range(4):
        await begin(store, clock, number)
    for number, agent in [(5, "agent"), (4, "agent"), (4, "Agent"), (4, "Ägent"), (4, "agent2")]:
        await store.sessions.begin(key(number, agent), "host")

    found = [session.key for session in await pages(store, SessionFilter(), 2)]

    at_once = [key(4, "Ägent"), key(4, "agent2"), key(5), key(4), key(3), key(4, "Agent")]
    assert found == [*at_once, key(2), key(1), key(0)]
    assert found == [session.key for session in await store.sessions.list(SessionFilter(), 100)]


async def test_pages_while_sessions_begin(store: TaskStore, clock: FakeClock) -> None:
    """Sessions that begin between two pages, or begin anew, are neither missed nor seen twice in the pages to come."""
    old = [await begin(store, clock, number) for number in range(4)]
    first = await store.sessions.list(SessionFilter(), 2)
    await begin(store, clock, 9)
    await end(store, old[0])
    await begin(store, clock, 0)

    rest = await store.sessions.list(SessionFilter(), 10, position(first[-1]))

    assert [session.key for session in (*first, *rest)] == [key(3), key(2), key(1), key(0)]
    assert rest[-1].run == 2


STARTING = frozenset({SessionState.STARTING})
LIVING = frozenset(SessionState) - {SessionState.STOPPED}
STOPPED = frozenset({SessionState.STOPPED})


@pytest.mark.parametrize(
    ("which", "numbers"),
    [
        (SessionFilter(), [6, 5, 4, 3, 2, 1, 0]),
        (SessionFilter(states=STARTING), [6, 5, 4]),
        (SessionFilter(states=LIVING), [6, 5, 4, 3, 2]),
        (SessionFilter(states=STOPPED), [1, 0]),
        (SessionFilter(states=STARTING | STOPPED), [6, 5, 4, 1, 0]),
        (SessionFilter(agent="agent"), [6, 4, 2, 0]),
        (SessionFilter(agent="agent", states=LIVING), [6, 4, 2]),
        (SessionFilter(user="ann"), [6, 3, 0]),
        (SessionFilter(user="ann", agent="agent"), [6, 0]),
        (SessionFilter(user="ann", states=STOPPED), [0]),
        (SessionFilter(user="ann", agent="agent", states=LIVING), [6]),
        (SessionFilter(prefix="session-"), [6, 5, 4, 3, 2, 1, 0]),
        (SessionFilter(prefix=key(4).session_id), [4]),
        (SessionFilter(prefix="session_"), []),
        (SessionFilter(prefix="%"), []),
        (SessionFilter(agent="nobody"), []),
        (SessionFilter(user="nobody"), []),
    ],
)
async def test_filter(store: TaskStore, clock: FakeClock, which: SessionFilter, numbers: Sequence[int]) -> None:
    """Each filter, and several together, let through what they say, on every page."""
    for number in range(7):
        session = await begin(
            store,
            clock,
            number,
            "other" if number % 2 else "agent",
            host="elsewhere" if number == 5 else "host",
            user="" if number % 3 else "ann",
        )
        if number < 2:
            await end(store, session)
        elif number < 4:
            await store.sessions.ready(session.key, session.epoch)

    found = await pages(store, which, 2)

    assert [int(session.key.session_id[-2:]) for session in found] == numbers


async def test_no_more_than_asked_for(store: TaskStore, clock: FakeClock) -> None:
    """A page of none is empty."""
    await begin(store, clock, 1)

    assert await store.sessions.list(SessionFilter(), 0) == []


async def test_active_tasks(store: TaskStore, clock: FakeClock) -> None:
    """Counted are the tasks of a session that have not ended: of its agent, and of its id."""
    mine, other, quiet = key(1), key(1, "other"), key(2)
    for task_id, owner in enumerate([mine, mine, mine, mine, other], 1):
        await store.create(submission(task_id, agent=owner.agent, session_id=owner.session_id))
    await store.create(submission(6, session_id=""))
    worker = await register(store, "worker", "agent", "research")
    assert [change.task.task_id for change in await store.claim("worker", worker.epoch, 2)] == [1, 2]
    assert not (await store.apply("worker", operations(2, DONE))).refusals
    await store.request_cancel(3)

    assert await store.sessions.active_tasks([mine, other, quiet, mine]) == {mine: 2, other: 1}
    assert await store.sessions.active_tasks([]) == {}


async def test_active_tasks_of_odd_ids(store: TaskStore) -> None:
    """An id of any text finds its tasks."""
    odd = [SessionKey("agent", "\U0001f9ea" * 1024), SessionKey("agent", "\"'\\é\u202e[]{}")]
    for task_id, owner in enumerate(odd, 1):
        await store.create(submission(task_id, session_id=owner.session_id))

    assert await store.sessions.active_tasks(odd) == dict.fromkeys(odd, 1)


async def test_delete_ended(store: TaskStore, clock: FakeClock) -> None:
    """Sessions go that ended long enough ago, the longest ago first, up to a limit; none that lives."""
    sessions = [await begin(store, clock, number) for number in range(5)]
    for number in (2, 0, 1):
        clock.move()
        await end(store, sessions[number])
    clock.move(DAY.total_seconds() - 1)

    assert await store.sessions.delete_ended(DAY, 1) == 1
    assert {session.key for session in await store.sessions.list(SessionFilter(), 10)} == {
        key(number) for number in (0, 1, 3, 4)
    }
    assert await store.sessions.delete_ended(DAY, 10) == 1
    assert await store.sessions.delete_ended(DAY, 10) == 0
    clock.move()
    assert await store.sessions.delete_ended(DAY, 10) == 1
    assert {session.key for session in await store.sessions.list(SessionFilter(), 10)} == {key(3), key(4)}


async def test_tasks_keep_their_session(store: TaskStore, clock: FakeClock) -> None:
    """A session of which a task is on record is kept, and keeps no other; it goes once its tasks have gone."""
    for number, agent in [(1, "agent"), (1, "other"), (2, "agent")]:
        await end(store, await begin(store, clock, number, agent))
    await store.create(submission(1, session_id=key(1).session_id))
    await store.request_cancel(1)
    clock.move(DAY.total_seconds())

    assert await store.sessions.delete_ended(DAY, 10) == 2
    assert (await store.sessions.get(key(1))).run == 1
    await store.delete(1)
    assert await store.sessions.delete_ended(DAY, 10) == 1


async def test_revived_in_time(store: TaskStore, clock: FakeClock) -> None:
    """A session that was used again is not forgotten; one that was forgotten begins from the first run."""
    session = await begin(store, clock, 1)
    await end(store, session)
    clock.move(2 * DAY.total_seconds())
    again = await begin(store, clock, 1)
    assert await store.sessions.delete_ended(DAY, 10) == 0

    await end(store, again)
    assert await store.sessions.delete_ended(timedelta(), 10) == 1
    with pytest.raises(SessionNotFound):
        await store.sessions.ready(key(1), again.epoch)
    new = await begin(store, clock, 1, user="bob")

    assert (new.run, new.user) == (1, "bob")
    assert new.epoch > again.epoch
