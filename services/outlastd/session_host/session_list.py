"""Lists sessions: what the store has, with what only the host of a live one knows, as far as the caller may see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from outlast.core.session import Session, SessionState
from outlastd.session_host.principal import Principal
from outlastd.session_host.session_pages import (
    DEFAULT_PAGE_SIZE,
    MAX_PAGE_SIZE,
    decode_page_token,
    encode_page_token,
)
from outlastd.session_host.session_view import SessionView, ViewState, Vitals, recorded_state
from outlastd.stores.session_port import SessionFilter, SessionPosition, SessionStore

#: Pages of the store that one list reads at the most: where the caller sees little of what is there, a page may have
#: fewer sessions than were asked for, and the next one goes on.
MAX_READS = 10

_ENDED = frozenset({SessionState.STOPPED})
_NOT_ENDED = frozenset(SessionState) - _ENDED


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Some sessions, newest first, and the token that asks for those after them; empty for no more."""

    sessions: Sequence[SessionView]
    next_page_token: str = ""


class SessionList:
    """Reads sessions for people."""

    def __init__(self, store: SessionStore, shown: Callable[[Session], tuple[Session, Vitals | None]]) -> None:
        """``shown`` returns the newest of a session that the store has, with what only its host knows."""
        self._store = store
        self._shown = shown

    async def page(
        self, caller: Principal, agent: str, states: frozenset[ViewState], size: int, token: str
    ) -> SessionPage:
        """Return some sessions that the caller sees. Raises ApiError for a bad token, and OutlastError."""
        if not caller.lists:
            return SessionPage([])
        wanted = min(size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        after = decode_page_token(token, agent, states) if token else None
        which = SessionFilter(
            states=_recorded_states(states),
            agent=agent,
            user="" if caller.operator else caller.user,
            prefix="" if caller.operator else caller.session_prefix,
        )
        found: list[tuple[Session, Vitals | None]] = []
        more = True
        for _ in range(MAX_READS):
            read = await self._store.list(which, wanted + 1, after)
            for session in read[:wanted]:
                if len(found) == wanted:
                    break
                after = _position(session)
                newest, vitals = self._shown(session)
                state = recorded_state(newest.state) if vitals is None else vitals.state
                if caller.sees(newest) and (not states or state in states):
                    found.append((newest, vitals))
            else:
                more = len(read) > wanted
            if len(found) == wanted or not more:
                break
        views = await self.views(caller, found)
        return SessionPage(views, encode_page_token(after, agent, states) if more and after is not None else "")

    async def views(self, caller: Principal, found: Sequence[tuple[Session, Vitals | None]]) -> Sequence[SessionView]:
        """Return sessions with what the store knows of their tasks. Raises OutlastError."""
        tasks = await self._store.active_tasks([session.key for session, _ in found]) if found else {}
        return [SessionView(session, vitals, tasks.get(session.key, 0), caller.operator) for session, vitals in found]


def _recorded_states(states: frozenset[ViewState]) -> frozenset[SessionState]:
    """Return what to ask the store for: of those that live, it may not know the newest yet."""
    if not states:
        return frozenset()
    ended = ViewState.STOPPED in states
    return (_ENDED if ended else frozenset()) | (_NOT_ENDED if states != {ViewState.STOPPED} else frozenset())


def _position(session: Session) -> SessionPosition:
    assert session.created_at is not None
    return SessionPosition(session.created_at, session.key)
