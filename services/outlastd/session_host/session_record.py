"""What becomes of a run in the store, and in the task manager."""

from __future__ import annotations

from dataclasses import replace

from outlast.core.errors import OutlastError, SessionHeld, SessionNotFound
from outlast.core.session import EndReason, Session, SessionKey, SessionState, begin
from outlast.telemetry.log import get_logger
from outlastd.session_host.clock import Clock
from outlastd.session_host.ports import SessionTasks
from outlastd.session_host.session_metrics import SessionMetrics
from outlastd.stores.session_port import SessionStore

#: Seconds before an end that could not be recorded is tried again; twice as many each time, up to the last.
FIRST_RETRY, LAST_RETRY = 1.0, 60.0


class SessionRecord:
    """Writes down the sessions of one host."""

    def __init__(
        self, store: SessionStore, tasks: SessionTasks, clock: Clock, host: str, metrics: SessionMetrics | None = None
    ) -> None:
        """``metrics`` counts what is recorded; None while metrics are off."""
        self._metrics = metrics
        self._store = store
        self._tasks = tasks
        self._clock = clock
        self._host = host

    async def known(self, key: SessionKey) -> Session | None:
        """Return what is recorded of a session; None for nothing. Raises OutlastError."""
        try:
            return await self._store.get(key)
        except SessionNotFound:
            return None

    def next_run(self, known: Session | None, key: SessionKey, principal: str, user: str) -> Session:
        """Return what will be recorded of a session when its next run begins; only the store knows the epoch."""
        if known is not None:
            known = replace(known, state=SessionState.STOPPED)  # whether it has ended is the store's to say
        return begin(known, key, self._host, 0, self._clock.now(), principal=principal, user=user)

    async def begin(self, known: Session | None, record: Session) -> Session:
        """Record that the next run of a session begins, of which ``known`` is recorded. Raises OutlastError."""
        if known is not None and known.state is not SessionState.STOPPED and known.host == self._host:
            # An outage of the store has left it so: whatever lives on this host is in the registry, and this is not.
            await self._end(known, EndReason.HOST_LOST, "its end could not be recorded")
        session = await self._store.begin(record.key, self._host, principal=record.principal, user=record.user)
        if self._metrics is not None:
            self._metrics.began(session.key)
        return session

    async def ready(self, session: Session) -> Session:
        """Record that a run answers. Raises OutlastError."""
        session = await self._store.ready(session.key, session.epoch)
        if self._metrics is not None:
            self._metrics.ready(session)
        return session

    async def stopping(self, session: Session) -> None:
        """Record that a run is told to end, if the store can take it: what is to end ends anyway."""
        try:
            await self._store.stopping(session.key, session.epoch)
        except OutlastError as error:
            get_logger().warning("session's stop could not be recorded", session=str(session.key), reason=error.message)

    async def end(self, session: Session, reason: EndReason, message: str) -> bool:
        """Record that nothing is left of a run, nor of what it held; return False to be asked again later."""
        try:
            await self._end(session, reason, message)
        except (SessionHeld, SessionNotFound) as error:  # not ours any more
            get_logger().error("session's end was refused", session=str(session.key), reason=error.message)
        except OutlastError as error:
            get_logger().warning("session's end could not be recorded", session=str(session.key), reason=error.message)
            return False
        return True

    async def end_at_last(self, session: Session, reason: EndReason, message: str) -> None:
        """Try again with growing pauses until the end is recorded."""
        pause = FIRST_RETRY
        while True:
            await self._clock.sleep(pause)
            if await self.end(session, reason, message):
                return
            pause = min(pause * 2, LAST_RETRY)

    async def end_all(self, reason: EndReason, message: str) -> int:
        """End what an earlier host of this name has left in the record; return how many. Raises OutlastError."""
        left = await self._store.end_all(self._host, reason, message)
        for session in left:
            self._note_end(session.key, reason)
            await self._tasks.lose(session.key, message)
        return len(left)

    async def _end(self, session: Session, reason: EndReason, message: str) -> None:
        await self._tasks.lose(session.key, message)
        await self._store.end(session.key, session.epoch, reason, message)
        self._note_end(session.key, reason)

    def _note_end(self, key: SessionKey, reason: EndReason) -> None:
        if self._metrics is not None:
            self._metrics.ended(key, reason)
