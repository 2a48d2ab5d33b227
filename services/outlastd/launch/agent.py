"""An agent: front door, runtime, worker stream and, unless another is named, a task manager of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from outlast.core.operation import Finish
from outlast.loading import loading
from outlast.settings.defaults import DEFAULT_PORT
from outlast.settings.model import Settings, load_settings
from outlast.tasks.call_pool import CallPool
from outlast.tasks.tracked import TrackedTask
from outlast.tasks.watchdog import Watchdog
from outlast.tasks.worker_metrics import observe_worker
from outlast.telemetry import lines, task_trace
from outlast.telemetry.log import get_logger
from outlastd.front_door.rules import InvocationRules
from outlastd.front_door.server import FrontDoor, FrontDoorOptions, Runtime
from outlastd.launch.drain import begin_to_drain, drain
from outlastd.launch.lifespan import Lifespan, LifespanOnAgentLoop
from outlastd.launch.loop import run_services, started
from outlastd.launch.own_handlers import OwnHandlers
from outlastd.launch.stop_signal import StopSignal
from outlastd.launch.telemetry import set_up_telemetry
from outlastd.launch.worker import Connection, connect_worker

if TYPE_CHECKING:
    from outlast.app import App

#: Seconds after the grace to send what is left: `docker stop` kills 10 s after its signal, of which the grace takes 8.
FLUSH_TIMEOUT = 1.0


class RunningAgent:
    """The services of one agent, at work on the services' loop."""

    def __init__(self, app: App, connection: Connection, front_door: FrontDoor) -> None:
        self.connection = connection
        self.front_door = front_door
        self._app = app

    @classmethod
    async def start(cls, app: App, settings: Settings, stack: AsyncExitStack) -> RunningAgent:
        """Start everything but a listener; ``stack`` undoes it when it is left.

        Raises:
            StartRefused: one line that names cause and cure.
        """
        await set_up_telemetry(settings, stack)
        _set_up_runtime(app, settings)
        await asyncio.to_thread(app.runtime.start_loops)
        watchdog = Watchdog((app.runtime.agent_loop, app.runtime.tasks_loop), settings.blocked_after)
        watchdog.start()
        stack.callback(watchdog.close)
        connection = await connect_worker(app, settings, stack)
        pool = CallPool(threads=settings.max_call_threads)
        stack.callback(pool.close)
        stack.callback(observe_worker(app.runtime, pool, settings.max_tasks))
        return cls(app, connection, _make_front_door(app, settings, connection, pool))

    async def stop(self, grace: float, stop: StopSignal, lifespan: Lifespan) -> None:
        """Stop in the order in which nothing is lost, within ``grace`` seconds and a little; at once if asked again."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        get_logger().info("agent is stopping", seconds=grace)
        ledger = self._app.runtime.ledger
        await begin_to_drain(ledger, self.connection.stream, grace, stop)
        await stop.unless_at_once(self.front_door.stop(max(deadline - loop.time(), 0.0)))
        await drain(ledger, max(deadline - loop.time(), 0.0), stop)
        # What tasks use is closed once they have ended.
        await stop.unless_at_once(lifespan.stop(max(deadline - loop.time(), FLUSH_TIMEOUT)))
        # The task manager may be away for a moment too: it gets what is left of the grace to come back.
        await stop.unless_at_once(self.connection.stream.settled(), max(deadline - loop.time(), 0.0))
        await self.connection.stream.close(FLUSH_TIMEOUT)


def run_agent(app: App, *, port: int | None = None, host: str | None = None) -> None:
    """Serve ``app`` on this thread until the process is told to stop.

    ``port`` and ``host`` are what the program's code says; the environment wins. What refuses to start ends the program
    with one line and exit code 1. A handler of the program's own for the signal that ends it is called at the end.
    """
    with loading():  # now, and not on the loop; where an ASGI server of somebody else's listens it is of no use
        import outlastd.front_door.aiohttp_server  # noqa: F401
    handlers = OwnHandlers()
    try:
        number = run_services(lambda: _serve(app, load_settings(port=port, host=host)))
    finally:
        handlers.restore()
    handlers.call(number)


async def _serve(app: App, settings: Settings) -> int:
    """Start, say so, run until a signal, and stop; return that signal."""
    stop = StopSignal(settings.shutdown_grace)
    async with AsyncExitStack() as stack:
        agent = await RunningAgent.start(app, settings, stack)
        lifespan = LifespanOnAgentLoop(app)
        state = await lifespan.start()
        await agent.front_door.put_behind(app.wrap_asgi)
        stop.install()  # before anybody is told that the agent is ready, and may want to stop it
        await _listen(agent, settings, state)
        started()
        await agent.stop(await stop.wait(), stop, lifespan)
    return stop.number


async def _listen(agent: RunningAgent, settings: Settings, state: Mapping[str, Any]) -> None:
    """Bind the front door to its address, and say where it is."""
    front_door, log = agent.front_door, get_logger()
    shown = {"agent": settings.agent, **agent.connection.shown}
    if settings.front_door_socket is not None:
        await front_door.start_socket(settings.front_door_socket, state=state)
        log.info("agent is ready", address=front_door.address, **shown)
        return
    wanted = DEFAULT_PORT if settings.port is None else settings.port
    await front_door.start(settings.host, wanted, search=settings.port is None, state=state)
    if wanted not in (0, front_door.port):
        log.warning("port is taken, another is used", wanted=wanted, used=front_door.port)
    log.info(
        "agent is ready",
        address=front_door.address,
        **shown,
        tryIt=f"curl -i -X POST {front_door.local_address}/invocations -d '{{}}'",
    )


def _set_up_runtime(app: App, settings: Settings) -> None:
    """Give the runtime its limits and hooks: tasks that start from now on are logged and traced."""
    app.status.count_invocations = settings.busy_invocations
    runtime = app.runtime
    runtime.max_result_bytes = settings.max_result_bytes
    runtime.threads.limit = settings.max_task_threads
    runtime.trace = task_trace
    runtime.on_function_end = _function_ended


def _function_ended(
    tracked: TrackedTask, finish: Finish, seconds: float, error: BaseException | None
) -> Callable[[], None]:
    return lines.function_ended(tracked, finish.state, seconds, error)


def front_door_options(settings: Settings) -> FrontDoorOptions:
    """Return how a front door behaves by the settings."""
    return FrontDoorOptions(
        settings.agent,
        settings.token or "",
        secret=settings.front_door_secret or "",
        allowed_origins=settings.allowed_origins,
        allowed_hosts=settings.allowed_hosts,
        rules=InvocationRules(
            max_body_bytes=settings.max_body_bytes,
            max_invocations=settings.max_invocations,
            ack_timeout=settings.ack_timeout,
            error_detail=settings.error_detail,
            session_id=settings.session,
            trace_url=settings.trace_url or "",
        ),
    )


def _make_front_door(app: App, settings: Settings, connection: Connection, pool: CallPool) -> FrontDoor:
    options = front_door_options(settings)
    return FrontDoor(
        app,
        app.status,
        Runtime(app.runtime.ledger, app.runtime.agent_loop, pool),
        connection.stream,
        connection.replicas,
        options,
        channel_token=options.token if settings.task_manager is not None else "",
    )
