"""What people see of sessions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest

from outlast.core.session import SessionState
from outlastd.session_host.api_error import ApiError
from outlastd.session_host.guest_client import PingFailed
from outlastd.session_host.principal import Principal
from outlastd.session_host.session_view import SessionView, ViewState

from .fake_clock import settle
from .stage import BUSY, OPERATOR, Stage, key
from .test_session_starts import begin

ANN = Principal("jwt/ann", user="ann")


def names(views: Iterable[SessionView]) -> list[int]:
    """Return the numbers of sessions."""
    return [int(view.session.key.session_id) for view in views]


async def test_session_at_work(stage: Stage) -> None:
    """A session in use is active; people see since when, how old it is, and an operator its process."""
    await stage.sessions.use(key(), ANN)
    stage.says[key().session_id] = BUSY
    await stage.clock.advance(60)
    seen = (await stage.sessions.view(key(), ANN)).as_json()
    assert seen == {
        "name": f"sessions/agent/{key().session_id}",
        "agent": "agent",
        "sessionId": key().session_id,
        "state": "ACTIVE",
        "busy": True,
        "inFlight": 1,
        "activeTasks": 5,
        "run": 1,
        "ageSeconds": 60.0,
        "createTime": "2026-11-22T08:30:00Z",
        "startTime": "2026-11-22T08:30:00Z",
        "readyTime": "2026-11-22T08:30:00Z",
        "user": "ann",
        "principal": "jwt/ann",
        "host": "host",
    }
    assert (await stage.sessions.view(key(), OPERATOR)).as_json() == seen | {"pid": 1_000}


async def test_idle_session(stage: Stage) -> None:
    """A session that does nothing says for how long; looking at it does not count as use."""
    async with await stage.sessions.use(key(), OPERATOR):
        await stage.clock.advance(100)
    for seconds in (400, 499):
        await stage.clock.advance(seconds)
        seen = (await stage.sessions.view(key(), OPERATOR)).as_json()
        assert seen["state"] == "IDLE"
    assert seen["idleSeconds"] == 899.0
    assert seen["ageSeconds"] == 999.0


async def test_session_that_starts(stage: Stage) -> None:
    """A session that is not ready yet is starting."""
    stage.says[key().session_id] = PingFailed("not yet")
    begin(stage)
    await stage.clock.advance(1)
    seen = (await stage.sessions.view(key(), OPERATOR)).as_json()
    assert (seen["state"], seen["inFlight"], seen["pid"]) == ("STARTING", 0, 1_000)
    assert "readyTime" not in seen
    await stage.sessions.stop(key(), OPERATOR)
    await settle()


async def test_ended_session(stage: Stage) -> None:
    """A session that has ended says when and why, and has no process."""
    await stage.sessions.use(key(), OPERATOR)
    await stage.clock.advance(10)
    await stage.sessions.stop(key(), OPERATOR)
    seen = (await stage.sessions.view(key(), OPERATOR)).as_json()
    assert (seen["state"], seen["endReason"]) == ("STOPPED", "STOP_REQUESTED")
    assert (seen["ageSeconds"], seen["endTime"]) == (10.0, "2026-11-22T08:30:10Z")
    assert not {"pid", "idleSeconds"} & set(seen)


async def test_stranger_sees_nothing(stage: Stage) -> None:
    """A session that a caller may not know of is answered as one that never was."""
    await stage.sessions.use(key(), ANN)
    stranger = Principal("jwt/bob", user="bob")
    messages = set()
    for number in (1, 2):
        with pytest.raises(ApiError) as raised:
            await stage.sessions.view(key(number), stranger)
        assert raised.value.status == 404
        messages.add(raised.value.message.replace(key(number).session_id, "ID"))
    assert len(messages) == 1
    assert not (await stage.sessions.list(stranger)).sessions


async def test_who_could_be_a_guest(stage: Stage) -> None:
    """Whoever may not learn of others' sessions gets an empty list, and finds the one that it can name."""
    await stage.sessions.use(key(), OPERATOR)
    stranger = Principal("local", lists=False)
    assert (await stage.sessions.list(stranger)).sessions == []
    assert (await stage.sessions.view(key(), stranger)).state is ViewState.ACTIVE


async def test_pages(stage: Stage) -> None:
    """A list is read page by page, newest first, without a gap and without a repeat."""
    for number in range(7):
        stage.forge(number, state=SessionState.STOPPED)
        await stage.clock.advance(1 if number % 2 else 0)  # some have the same age
    found, token = [], ""
    for size in (3, 3, 1):
        page = await stage.sessions.list(OPERATOR, page_size=size, page_token=token)
        found += names(page.sessions)
        token = page.next_page_token
        assert len(page.sessions) == size
    assert found == [6, 5, 4, 3, 2, 1, 0]
    assert not token


async def test_filters(stage: Stage) -> None:
    """A list is filtered by agent and by state, as people see it."""
    stage.forge(1, state=SessionState.STOPPED)
    stage.forge(2, host="elsewhere", state=SessionState.RUNNING)
    (await stage.sessions.use(key(3), OPERATOR)).end()
    await stage.sessions.use(key(4), OPERATOR)
    expected = {"ACTIVE": [2, 4], "IDLE": [3], "STOPPED": [1], "STARTING": []}
    for state, numbers in expected.items():
        page = await stage.sessions.list(OPERATOR, agent="agent", states=frozenset({ViewState(state)}))
        assert sorted(names(page.sessions)) == numbers
    both = frozenset({ViewState.IDLE, ViewState.STOPPED})
    assert sorted(names((await stage.sessions.list(OPERATOR, states=both)).sessions)) == [1, 3]
    assert not (await stage.sessions.list(OPERATOR, agent="other")).sessions


async def test_list_of_one_user(stage: Stage) -> None:
    """A caller lists what is that caller's; an operator lists all."""
    for number in range(6):
        stage.forge(number, state=SessionState.STOPPED, user="ann" if number % 2 else "bob")
    assert names((await stage.sessions.list(ANN)).sessions) == [5, 3, 1]
    prefix = Principal("key/ci", session_prefix=key(4).session_id)
    assert names((await stage.sessions.list(prefix)).sessions) == [4]
    assert not (await stage.sessions.list(Principal("key/x", agents=frozenset({"other"})))).sessions
    assert len((await stage.sessions.list(OPERATOR)).sessions) == 6


async def test_one_among_many(stage: Stage) -> None:
    """A caller who sees little of what is there gets it in the end, over pages that may be short."""
    stage.forge(9_999, state=SessionState.STOPPED)
    await stage.clock.advance(1)
    for number in range(45):
        stage.forge(number, host="elsewhere", state=SessionState.RUNNING)
    for number in (10, 40):
        stage.forge(number, state=SessionState.STARTING)
    token, found, pages = "", [], 0
    states = frozenset({ViewState.STARTING})
    while token or not pages:
        page = await stage.sessions.list(OPERATOR, states=states, page_size=1, page_token=token)
        assert len(page.sessions) <= 1
        found += names(page.sessions)
        token = page.next_page_token
        pages += 1
    assert found == [40, 10]


async def test_page_sizes(stage: Stage) -> None:
    """A page has 50 sessions where nobody says, and never more than 1,000."""
    for number in range(1_100):
        stage.forge(number, state=SessionState.STOPPED, created_at=stage.clock.now() + timedelta(seconds=number))
    assert len((await stage.sessions.list(OPERATOR)).sessions) == 50
    assert len((await stage.sessions.list(OPERATOR, page_size=5_000)).sessions) == 1_000


@pytest.mark.parametrize("token", ["x", "ä", "====", "bm8=", "W10=", "W251bGxd" * 10_000, "WyIxIiwxLDIsM10=", "MTIz"])
async def test_tokens_that_are_none(stage: Stage, token: str) -> None:
    """What is no page token is the caller's mistake."""
    with pytest.raises(ApiError, match="is no page token") as raised:
        await stage.sessions.list(OPERATOR, page_token=token)
    assert raised.value.status == 400


async def test_token_of_other_filters(stage: Stage) -> None:
    """A page token goes with the filters that it was made with."""
    for number in range(2):
        stage.forge(number, state=SessionState.STOPPED)
    token = (await stage.sessions.list(OPERATOR, page_size=1)).next_page_token
    assert token
    with pytest.raises(ApiError, match="other filters"):
        await stage.sessions.list(OPERATOR, agent="agent", page_token=token)


async def test_store_out_of_reach(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that cannot be read is a fault of ours, and says no more."""
    stage.unreachable()

    async def fail(*_: object) -> None:
        assert stage.store.failure is not None
        raise stage.store.failure

    for method in ("list", "get", "active_tasks"):
        monkeypatch.setattr(stage.store, method, fail)
    for reading in (stage.sessions.list(OPERATOR), stage.sessions.view(key(), OPERATOR)):
        with pytest.raises(ApiError) as raised:
            await reading
        assert (raised.value.status, raised.value.message) == (500, "Internal error")
