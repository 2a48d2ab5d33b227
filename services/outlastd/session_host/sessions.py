"""The registry of live sessions: which process works for which id."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import timedelta

from outlast.core.errors import OutlastError, SessionHeld
from outlast.core.session import EndReason, Session, SessionKey, SessionState
from outlast.telemetry.log import get_logger
from outlastd.session_host import api_error
from outlastd.session_host.clock import Clock, SystemClock
from outlastd.session_host.config import AgentConfig, HostConfig
from outlastd.session_host.live_session import LiveSession, Means
from outlastd.session_host.ports import Launcher, SessionTasks
from outlastd.session_host.principal import Principal
from outlastd.session_host.session_list import SessionList, SessionPage
from outlastd.session_host.session_metrics import session_metrics
from outlastd.session_host.session_record import SessionRecord
from outlastd.session_host.session_view import SessionView, ViewState, Vitals
from outlastd.session_host.starting import Planning, Starting
from outlastd.session_host.strict import Strict
from outlastd.session_host.use import Use
from outlastd.stores.session_port import SessionStore

#: Seconds between two looks for ended sessions whose time has come, and how many are deleted in one transaction.
SWEEP_SECONDS, SWEEP_STEP = 600.0, 500


class Sessions:
    """All sessions of a host. On the services' loop."""

    def __init__(
        self,
        config: HostConfig,
        store: SessionStore,
        launcher: Launcher,
        planner: Planning,
        tasks: SessionTasks,
        strict: Strict,
        *,
        host: str,
        clock: Clock | None = None,
    ) -> None:
        self._config = config
        self._store = store
        self._host = host
        clock = clock or SystemClock()
        self._clock = clock
        self._metrics = session_metrics()
        self._record = SessionRecord(store, tasks, clock, host, self._metrics)
        starting = Starting(planner, launcher, clock, at_a_time=config.max_starting, ping_timeout=config.ping_timeout)
        self._strict = strict
        self._means = Means(config, self._record, starting, strict, clock)
        self._list = SessionList(store, self._shown)
        self._live: dict[SessionKey, LiveSession] = {}
        self._lives: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.Task[None] | None = None
        self._closing = False

    async def open(self) -> None:
        """Settle what an earlier host of this name has left, and begin. Raises OutlastError."""
        message = "the session host was lost"
        if left := await self._record.end_all(EndReason.HOST_LOST, message):
            get_logger().warning("sessions of a host that was lost are ended", sessions=left)
        self._sweeping = asyncio.create_task(self._sweep())

    async def use(self, key: SessionKey, caller: Principal, user: str = "") -> Use:
        """Return a use of a session, which has begun: ``async with await sessions.use(...) as use``.

        The first of an id starts a process, and waits until that is ready; a cancel does not stop the start. ``user``
        is whom the caller acts for: a new id is bound to that user, or to the caller's own.

        Raises:
            ApiError: it starts or ends, belongs to another user, cannot be started; there is no such agent, or no room.
        """
        agent = self._config.agents.get(key.agent)
        if agent is None:
            raise api_error.not_found(f"there is no agent {key.agent!r}")
        live = self._live.get(key)
        if live is None:
            known = await self._known(key)
            record = self._record.next_run(known, key, caller.name, caller.user or user)
            _check(record, caller, user)
            live = self._live.get(key)  # somebody else may have been quicker
            if live is None:
                live = self._begin(agent, record, known)
                await live.ready()
        _check(live.record, caller, user)
        return live.use()

    async def stop(self, key: SessionKey, caller: Principal) -> None:
        """End a session; return when nothing is left of its run. A cancel does not stop the end.

        Raises:
            ApiError: no process works for it, or another host's does, or the caller may not know of it.
        """
        live = self._live.get(key)
        if live is None:
            await self._check_held(key, caller)
        if live is None or live.is_gone or not caller.sees(live.record):
            raise api_error.not_found(f"the session {key.session_id!r} does not run")
        live.end(EndReason.STOP_REQUESTED, f"{caller.name} has asked for it")
        await live.gone()

    async def view(self, key: SessionKey, caller: Principal) -> SessionView:
        """Return a session as the caller sees it. Raises ApiError."""
        live = self._live.get(key)
        session = await self._known(key) if live is None else live.record
        if session is None or not caller.sees(session):
            raise api_error.not_found(f"there is no session {key.session_id!r}")
        try:
            (view,) = await self._list.views(caller, [self._shown(session)])
        except OutlastError as error:
            raise _unreadable(error) from error
        return view

    async def list(
        self,
        caller: Principal,
        *,
        agent: str = "",
        states: frozenset[ViewState] = frozenset(),
        page_size: int = 0,
        page_token: str = "",
    ) -> SessionPage:
        """Return some of the sessions that the caller sees, newest first; an empty filter lets all through.

        A page has up to ``page_size`` of them (0: 50; 1,000 at the most), and may have fewer though there are more.

        Raises:
            ApiError: the page token is none, or was made with other filters.
        """
        try:
            return await self._list.page(caller, agent, states, page_size, page_token)
        except OutlastError as error:
            raise _unreadable(error) from error

    def processes(self) -> Collection[tuple[int, int]]:
        """Return the process of each live session, and the user that it runs as."""
        return [process for live in self._live.values() if (process := live.process) is not None]

    async def close(self, grace: float) -> None:
        """End every session, whose process has up to ``grace`` seconds; new uses are refused.

        A second call with a shorter grace hastens the first one's work.
        """
        self._closing = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        ending = list(self._live.values())
        for live in ending:
            live.end(EndReason.HOST_STOPPED, "the session host was stopped", grace)
        for live in ending:
            await live.gone()
        for life in self._lives:
            life.cancel()  # of what is left, the store could not take the end: the next host of this name records it
        await asyncio.gather(*self._lives, return_exceptions=True)

    # ------------------------------------------------------------------------------------------------------

    async def _check_held(self, key: SessionKey, caller: Principal) -> None:
        """Raise ApiError when a session is another host's, and the caller may know of it."""
        session = await self._known(key)
        if session is None or session.state is SessionState.STOPPED or session.host == self._host:
            return
        if caller.sees(session):
            raise api_error.conflict(SessionHeld(str(key), session.host).message)

    def _begin(self, agent: AgentConfig, record: Session, known: Session | None) -> LiveSession:
        key = record.key
        if self._closing:
            raise api_error.busy()
        if sum(other.agent == key.agent for other in self._live) >= agent.max_sessions:
            raise api_error.over_quota(f"the agent {key.agent!r} has {agent.max_sessions} sessions, as many as it may")
        live = LiveSession(self._means, agent, record, known, lambda: self._forget(key))
        self._live[key] = live
        self._strict.session_begun(key)
        if self._metrics is not None:
            self._metrics.came(key)
        life = asyncio.create_task(live.live(), name=f"outlast {key}")
        self._lives.add(life)
        life.add_done_callback(self._lived)
        return live

    def _forget(self, key: SessionKey) -> None:
        if self._live.pop(key, None) is not None and self._metrics is not None:
            self._metrics.went(key)
        self._strict.ended(key)

    def _lived(self, life: asyncio.Task[None]) -> None:
        self._lives.discard(life)
        if not life.cancelled() and (error := life.exception()) is not None:
            get_logger().error("session could not be ended", error=error)

    async def _known(self, key: SessionKey) -> Session | None:
        try:
            return await self._record.known(key)
        except OutlastError as error:
            raise _unreadable(error) from error

    def _shown(self, session: Session) -> tuple[Session, Vitals | None]:
        live = self._live.get(session.key)
        return (session, None) if live is None else (live.record, live.vitals())

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(SWEEP_SECONDS)
            try:
                retention = timedelta(seconds=self._config.session_retention)
                deleted = SWEEP_STEP
                while deleted == SWEEP_STEP:
                    deleted = await self._store.delete_ended(retention, SWEEP_STEP)
            except OutlastError as error:
                get_logger().warning("ended sessions could not be deleted", reason=error.message)


def _check(session: Session, caller: Principal, user: str) -> None:
    """Raise ApiError when a session is somebody else's."""
    another = user and session.user and user != session.user
    if another or not caller.sees(session):
        raise api_error.denied()


def _unreadable(error: OutlastError) -> api_error.ApiError:
    get_logger().warning("sessions could not be read", reason=error.message)
    return api_error.internal()
