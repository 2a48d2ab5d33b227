"""A session host without processes, without a database and without time: what the registry of sessions plays on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from outlast.core import session as rules
from outlast.core.errors import OutlastError, SessionNotFound, StoreUnavailable
from outlast.core.session import EndReason, Session, SessionKey, SessionState
from outlast.ping import PingStatus
from outlastd.session_host import starting
from outlastd.session_host.config import AgentConfig, HostConfig
from outlastd.session_host.guest_client import Endpoint, PingAnswer, PingFailed
from outlastd.session_host.plan import Plan
from outlastd.session_host.ports import Execution, Exit, LaunchFailed, LaunchOrder
from outlastd.session_host.principal import Principal
from outlastd.session_host.sessions import Sessions
from outlastd.session_host.strict import Strict
from outlastd.stores.session_port import SessionFilter, SessionPosition

from .fake_clock import FakeClock

HEALTHY, BUSY = PingAnswer(PingStatus.HEALTHY), PingAnswer(PingStatus.HEALTHY_BUSY)
OPERATOR = Principal("operator", operator=True)


def key(number: int = 1, agent: str = "agent") -> SessionKey:
    """Return the name of a session."""
    return SessionKey(agent, f"{number:033}")


class MemoryStore:
    """A SessionStore that forgets, and fails when it is told to."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.kept: dict[SessionKey, Session] = {}
        #: What every write raises.
        self.failure: OutlastError | None = None
        #: What was written, in this order.
        self.log: list[tuple[str, SessionKey]] = []
        self.deleted: list[timedelta] = []
        self._epoch = 0

    async def hold(self, host: str) -> None:
        """Let everybody have any name."""

    async def begin(self, key: SessionKey, host: str, *, principal: str = "", user: str = "") -> Session:
        """Begin the next run."""
        self._epoch += 1
        now, epoch = self.clock.now(), self._epoch
        known = self.kept.get(key)
        return await self._write(
            "begin", key, lambda: rules.begin(known, key, host, epoch, now, principal=principal, user=user)
        )

    async def ready(self, key: SessionKey, epoch: int) -> Session:
        """Record that the run answers."""
        return await self._write("ready", key, lambda: rules.ready(self._owned(key, epoch), self.clock.now()))

    async def stopping(self, key: SessionKey, epoch: int) -> Session:
        """Record that the run is told to end."""
        return await self._write("stopping", key, lambda: rules.stopping(self._owned(key, epoch)))

    async def end(self, key: SessionKey, epoch: int, reason: EndReason, message: str) -> Session:
        """Record that the run has ended."""
        now = self.clock.now()
        return await self._write("end", key, lambda: rules.end(self._owned(key, epoch), reason, message, now))

    async def end_all(self, host: str, reason: EndReason, message: str) -> Sequence[Session]:
        """End every run of a host."""
        left = [s for s in self.kept.values() if s.host == host and s.state is not SessionState.STOPPED]
        return [await self.end(session.key, session.epoch, reason, message) for session in left]

    async def get(self, key: SessionKey) -> Session:
        """Return a session."""
        await asyncio.sleep(0)
        if key not in self.kept:
            raise SessionNotFound(str(key))
        return self.kept[key]

    async def list(self, which: SessionFilter, limit: int, after: SessionPosition | None = None) -> Sequence[Session]:
        """Return sessions, newest first."""
        found = [
            session
            for session in self.kept.values()
            if (not which.states or session.state in which.states)
            and which.agent in ("", session.key.agent)
            and which.user in ("", session.user)
            and session.key.session_id.startswith(which.prefix)
            and (after is None or _order(session) < (after.created_at, after.key))
        ]
        return sorted(found, key=_order, reverse=True)[:limit]

    async def active_tasks(self, keys: Sequence[SessionKey]) -> Mapping[SessionKey, int]:
        """Say that every session has one task for each character of its agent's name."""
        return {key: len(key.agent) for key in keys}

    async def delete_ended(self, older_than: timedelta, limit: int) -> int:
        """Note that it was asked."""
        self.deleted.append(older_than)
        return 0

    def _owned(self, key: SessionKey, epoch: int) -> Session:
        return rules.owned(self.kept[key], epoch)

    async def _write(self, what: str, key: SessionKey, change: Callable[[], Session]) -> Session:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.kept[key] = change()
        self.log.append((what, key))
        await asyncio.sleep(0)
        return self.kept[key]


class FakeProcess:
    """A GuestProcess that is nothing but its end."""

    def __init__(self, order: LaunchOrder, pid: int) -> None:
        self.order = order
        self.pid = pid
        self.graces: list[float] = []
        #: What it takes to end when it is told to; it ends at once unless cleared.
        self.obeys = asyncio.Event()
        self.obeys.set()
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    def die(self, exit: Exit) -> None:
        """End by itself."""
        self._exit.set_result(exit)

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return not self._exit.done()

    async def wait(self) -> Exit:
        """Return how it ended."""
        return await asyncio.shield(self._exit)

    async def stop(self, grace: float) -> Exit:
        """End, once it obeys."""
        self.graces.append(grace)
        await self.obeys.wait()
        if self.alive:
            self.die(Exit(signal=15))
        return await self.wait()

    async def execute(self, argv: Sequence[str], timeout: float) -> Execution:
        """Start nothing."""
        raise LaunchFailed("it is not real")


class FakeLauncher:
    """A Launcher of such processes."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self.started: list[FakeProcess] = []
        self.failure: Exception | None = None
        self.lets = asyncio.Event()
        self.lets.set()
        self._note = note

    async def launch(self, order: LaunchOrder) -> FakeProcess:
        """Start one, unless it is to fail."""
        await self.lets.wait()
        self._note("launch")
        if self.failure is not None:
            raise self.failure
        self.started.append(FakeProcess(order, 1_000 + len(self.started)))
        return self.started[-1]

    async def close(self) -> None:
        """Do nothing."""


class FakePlanner:
    """Plans that lead nowhere."""

    def __init__(self) -> None:
        self.open: list[Plan] = []

    async def plan(self, key: SessionKey) -> Plan:
        """Return a plan whose endpoint names the session."""
        await asyncio.sleep(0)
        order = LaunchOrder(str(key), ("agent",), {}, Path("/"), Path("/lock"), uid=4_000)
        plan = Plan(order, Endpoint(port=1, secret=key.session_id))
        self.open.append(plan)
        return plan

    async def clear(self, plan: Plan) -> None:
        """Note it."""
        self.open.remove(plan)


class FakeTasks:
    """A task manager that loses what it is told to."""

    def __init__(self) -> None:
        self.lost: list[tuple[SessionKey, str]] = []

    async def lose(self, key: SessionKey, message: str) -> int:
        """Note it."""
        self.lost.append((key, message))
        return 0

    def worker_token(self, key: SessionKey) -> str:
        """Return what no one asks for."""
        return ""


class Stage:
    """A registry of sessions and all that it plays with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, config: HostConfig) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.launcher = FakeLauncher(lambda what: self.store.log.append((what, key())))
        self.planner = FakePlanner()
        self.tasks = FakeTasks()
        #: What guests say to a ping, by session id; others are healthy.
        self.says: dict[str, PingAnswer | PingFailed] = {}
        self.pings = 0
        self.sessions = self.host(config)
        stage = self

        class FakeGuest:
            def __init__(self, endpoint: Endpoint) -> None:
                self.session_id = endpoint.secret

            async def ping(self, timeout: float) -> PingAnswer:
                await asyncio.sleep(0)
                stage.pings += 1
                said = stage.says.get(self.session_id, HEALTHY)
                if isinstance(said, PingFailed):
                    raise said
                return said

            async def close(self) -> None:
                pass

        monkeypatch.setattr(starting, "GuestClient", FakeGuest)

    def host(self, config: HostConfig, name: str = "host") -> Sessions:
        """Return another host on the same store."""
        return Sessions(
            config,
            self.store,
            self.launcher,
            self.planner,
            self.tasks,
            Strict(config.strict, self.clock.monotonic),
            host=name,
            clock=self.clock,
        )

    def unreachable(self) -> None:
        """Have the store take nothing."""
        self.store.failure = StoreUnavailable("the store is out of reach")

    def reachable(self) -> None:
        """Have it take everything again."""
        self.store.failure = None

    def record(self, number: int = 1) -> Session:
        """Return what the store has."""
        return self.store.kept[key(number)]

    def forge(self, number: int, **changes: Any) -> None:
        """Have the store know a session that somebody else has begun."""
        session = rules.begin(None, key(number), "host", 77, self.clock.now())
        self.store.kept[session.key] = replace(session, **changes)


def make_config(**agent: Any) -> HostConfig:
    """Return a configuration of one agent that is pinged every ten seconds."""
    return HostConfig(agents={"agent": AgentConfig(command=("agent",), **agent)}, ping_interval=10)


def _order(session: Session) -> tuple[Any, SessionKey]:
    return session.created_at, session.key
