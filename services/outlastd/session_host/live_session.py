"""One session that lives: from the first use of its id until nothing is left of the run."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from outlast.core import session_rules
from outlast.core.errors import OutlastError, SessionHeld
from outlast.core.session import EndReason, Session, SessionState
from outlast.core.session_rules import SessionRules
from outlast.core.validation import clean_text
from outlast.telemetry.log import get_logger
from outlastd.session_host import api_error
from outlastd.session_host.api_error import ApiError
from outlastd.session_host.clock import Clock
from outlastd.session_host.config import AgentConfig, HostConfig
from outlastd.session_host.monitor import Monitor
from outlastd.session_host.ports import Exit, GuestProcess, LaunchFailed
from outlastd.session_host.session_record import SessionRecord
from outlastd.session_host.session_view import ViewState, Vitals
from outlastd.session_host.starting import Run, Starting
from outlastd.session_host.strict import Strict
from outlastd.session_host.use import Use
from outlastd.task_manager.uncut import uncut

#: Characters of a message that is recorded.
MAX_MESSAGE = 1_000


@dataclass(frozen=True, slots=True)
class Means:
    """What every live session works with."""

    config: HostConfig
    record: SessionRecord
    starting: Starting
    strict: Strict
    clock: Clock


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a run ends, and how many seconds its process has for it."""

    reason: EndReason
    message: str
    grace: float


class LiveSession:
    """One run of a session.

    Its life is one task, which nobody who uses it can cancel: it starts the process, watches it, and, once there is a
    verdict, winds it up. The first verdict counts, from whomever it comes.
    """

    def __init__(
        self, means: Means, agent: AgentConfig, record: Session, known: Session | None, forget: Callable[[], object]
    ) -> None:
        """``known`` is what the store has of the session, ``record`` what it will have once the run begins.

        ``forget`` is called once the id can be used again, before those are told who wait for that.
        """
        self._means = means
        self._agent = agent
        self._known = known
        self._forget = forget
        #: As it is recorded; until the run is, as it will be.
        self.record = record
        self.phase = SessionState.STARTING
        self._began_at = means.clock.monotonic()
        self._begun = False
        self._run = Run()
        self._monitor: Monitor | None = None
        self._exit: Exit | None = None
        self._verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        #: What those are answered who wait for a start that has failed.
        self._refusal: ApiError | None = None
        self._ready = asyncio.Event()
        self._told = asyncio.Event()
        self._gone = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._hastening: asyncio.Task[None] | None = None

    # -- for those who use it ------------------------------------------------------------------------------

    async def ready(self) -> None:
        """Wait until it can be used. Raises ApiError when it cannot be started; a cancel stops nothing."""
        await self._ready.wait()
        if self._refusal is not None:
            raise self._refusal

    def use(self) -> Use:
        """Begin a use. Raises ApiError while it starts or ends."""
        if self.phase is not SessionState.RUNNING:
            raise api_error.busy()
        assert self._run.guest is not None
        assert self._run.process is not None
        return Use(self, self._run.guest, self._run.process)

    def end(self, reason: EndReason, message: str, grace: float = math.inf) -> None:
        """Have it end; its process has the agent's grace for it, or ``grace`` seconds where that is shorter.

        The first call says why; a later one with a shorter grace hastens the end.
        """
        process = self._run.process
        if self._verdict.done():
            if process is not None and self._exit is None and grace < self._verdict.result().grace:
                self._hastening = asyncio.create_task(self._stop(process, grace))
            return
        self.phase = SessionState.STOPPING
        message = clean_text(message, MAX_MESSAGE)
        self._verdict.set_result(Verdict(reason, message, min(grace, self._agent.stop_grace)))
        if reason is not EndReason.HOST_STOPPED:  # there, answers that are on their way may come out within the grace
            self._told.set()

    async def gone(self) -> None:
        """Wait until nothing is left of it: no process, no folder, and the store has been told, if it could be."""
        await self._gone.wait()

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left of it but an end that the store could not take yet."""
        return self._gone.is_set()

    @property
    def process(self) -> tuple[int, int] | None:
        """The process and the user that it runs as; None where there is no process."""
        run = self._run
        if run.process is None or run.plan is None or self._gone.is_set():
            return None
        uid = run.plan.order.uid
        return run.process.pid, os.geteuid() if uid is None else uid

    def vitals(self) -> Vitals:
        """Return what only its host knows."""
        now = self._means.clock.monotonic()
        state, busy, in_flight, idle = _STATES[self.phase], False, 0, None
        if self._monitor is not None:
            activity = self._monitor.activity
            busy, in_flight = activity.says_busy, activity.in_flight
            if self.phase is SessionState.RUNNING:
                since = session_rules.idle_since(activity)
                state = ViewState.ACTIVE if since is None else ViewState.IDLE
                idle = None if since is None else max(0.0, now - since)
        process = self.process
        return Vitals(state, busy, in_flight, now - self._began_at, idle, None if process is None else process[0])

    def use_began(self) -> None:
        """Count one more use in flight."""
        assert self._monitor is not None
        self._monitor.use_began()

    def use_ended(self) -> None:
        """Count one less."""
        assert self._monitor is not None
        self._monitor.use_ended()

    def touched(self) -> None:
        """Note that somebody does something with it."""
        assert self._monitor is not None
        self._monitor.touched()

    async def until_told(self) -> str:
        """Wait until those who use it have to know that it ends; return why, for people."""
        await self._told.wait()
        return self._verdict.result().message

    # -- its life ------------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Live: from the start to the end of the run, and its record."""
        working = asyncio.create_task(self._work())
        try:
            verdict = await asyncio.shield(self._verdict)
            working.cancel()
            await asyncio.wait([working])
            recorded = await self._wind_up(verdict)
            if recorded:
                self._forget()
        except Exception:  # a fault of ours; the record is put right when the id is used again
            self._forget()
            raise
        finally:
            working.cancel()
            self._let_go()
        if not recorded:
            try:
                await self._means.record.end_at_last(self.record, verdict.reason, verdict.message)
            finally:
                self._forget()

    async def _work(self) -> None:
        try:
            await self._start()
            assert self._monitor is not None
            self.end(*await self._monitor.until_due())
        except LaunchFailed as failure:
            self.end(EndReason.START_FAILED, f"the agent could not be started: {failure}")
        except SessionHeld as held:
            self._refusal = api_error.conflict(held.message)
            self.end(EndReason.START_FAILED, held.message)
        except OutlastError as error:
            get_logger().warning("session's start could not be recorded", reason=error.message, **self._names())
            self._refusal = api_error.internal()
            self.end(EndReason.START_FAILED, "its start could not be recorded")
        except Exception as error:
            get_logger().error("session could not be looked after", error=error, **self._names())
            self._refusal = api_error.internal()
            reason = EndReason.START_FAILED if self._monitor is None else EndReason.UNHEALTHY
            self.end(reason, "a fault of the session host")

    async def _start(self) -> None:
        means, config = self._means, self._means.config
        await uncut(self._begin())  # what was begun has to be known, or nobody could end it
        async with means.starting.slots:
            overdue = asyncio.create_task(self._overdue())
            try:
                process = await means.starting.launch(self.record.key, self._run)
                self._watching = asyncio.create_task(self._watch(process))
                first = await means.starting.first_ping(self._run)
            finally:
                overdue.cancel()
        self.record = await means.record.ready(self.record)
        agent = self._agent
        assert self._run.guest is not None
        self._monitor = Monitor(
            self._run.guest,
            SessionRules(agent.idle_timeout, agent.max_lifetime, agent.unhealthy_after),
            means.clock,
            self._remark,
            started_at=self._began_at,
            first=first,
            interval=config.ping_interval,
            timeout=config.ping_timeout,
        )
        if self._verdict.done():  # it came while the last await was ending
            return
        self.phase = SessionState.RUNNING
        self._ready.set()
        seconds = round(means.clock.monotonic() - self._began_at, 3)
        get_logger().info("session started", **self._names(), pid=process.pid, seconds=seconds)

    async def _begin(self) -> None:
        self.record = await self._means.record.begin(self._known, self.record)
        self._begun = True
        self._began_at = self._means.clock.monotonic()

    async def _overdue(self) -> None:
        await self._means.clock.sleep(self._agent.start_timeout)
        self.end(
            EndReason.START_FAILED,
            f"the agent did not answer /ping within {self._agent.start_timeout:g} s: {self._run.failure}",
        )

    async def _watch(self, process: GuestProcess) -> None:
        exit = await process.wait()
        self._exit = exit
        if self.phase is SessionState.STARTING:
            self.end(EndReason.START_FAILED, f"the agent's process ended with {exit} before it answered /ping")
        else:
            self.end(EndReason.PROCESS_ENDED, f"the agent's process ended with {exit}")

    async def _wind_up(self, verdict: Verdict) -> bool:
        """Stop what runs, whatever the store says; return whether the end is recorded."""
        run, record = self._run, self._means.record
        if run.process is not None and self._exit is None:
            await asyncio.gather(record.stopping(self.record), self._stop(run.process, verdict.grace))
        self._told.set()
        if run.guest is not None:
            await run.guest.close()
        recorded = not self._begun or await record.end(self.record, verdict.reason, verdict.message)
        try:
            await self._means.starting.clear(run)
        except Exception as error:
            get_logger().error("session's folder could not be cleared", error=error, **self._names())
        if self._begun:
            self._log(verdict)
        return recorded

    async def _stop(self, process: GuestProcess, grace: float) -> None:
        try:
            self._exit = await process.stop(grace)
        except Exception as error:  # the next run waits for the lock of this one, if anything is left
            get_logger().error("session's process could not be stopped", error=error, **self._names())

    def _let_go(self) -> None:
        """Answer everybody who waits for it."""
        self.end(EndReason.HOST_STOPPED, "the session host has ended")  # if there is no verdict: the loop ends
        for task in (self._watching, self._hastening):
            if task is not None:
                task.cancel()
        if not self._ready.is_set() and self._refusal is None:
            self._refusal = self._why_not_ready()
        self._ready.set()
        self._told.set()
        self._gone.set()

    def _why_not_ready(self) -> ApiError:
        verdict = self._verdict.result()
        if verdict.reason is EndReason.HOST_STOPPED:
            return api_error.busy()
        if verdict.reason is EndReason.STOP_REQUESTED:
            return api_error.conflict("the session was stopped before it was ready")
        return api_error.agent_failed(verdict.message, ran=False)

    def _remark(self, age: float, idle: float | None) -> None:
        strict, key = self._means.strict, self.record.key
        strict.age(key, age)
        if idle is not None:
            strict.idle(key, idle)

    def _log(self, verdict: Verdict) -> None:
        log = get_logger()
        write = log.warning if verdict.reason in _UNWANTED else log.info
        seconds = round(self._means.clock.monotonic() - self._began_at, 3)
        fields = self._names() | {"reason": verdict.reason, "why": verdict.message, "seconds": seconds}
        if self._exit is not None:
            fields["exit"] = str(self._exit)
        write("session ended", **fields)

    def _names(self) -> dict[str, Any]:
        key = self.record.key
        return {"agent": key.agent, "sessionId": key.session_id, "run": self.record.run}


_STATES = {
    SessionState.STARTING: ViewState.STARTING,
    SessionState.STOPPING: ViewState.STOPPING,
    SessionState.RUNNING: ViewState.ACTIVE,
}
_UNWANTED = frozenset({EndReason.START_FAILED, EndReason.UNHEALTHY, EndReason.PROCESS_ENDED})
