"""An agent's services on a thread of their own: for a program whose main loop is somebody else's."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread  # noqa: F401 (see below: what it registers has to be called after ours)
import contextlib
import threading
from concurrent.futures import Future
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from outlast.settings.model import Settings, load_settings
from outlast.telemetry.log import get_logger
from outlastd.front_door.door import Door
from outlastd.launch.agent import RunningAgent
from outlastd.launch.lifespan import LifespanElsewhere
from outlastd.launch.loop import loop_factory
from outlastd.launch.stop_signal import StopSignal

if TYPE_CHECKING:
    from outlast.app import App

#: Seconds beyond the grace that the end of the process waits for the services.
PATIENCE = 5.0

_running: set[ServicesThread] = set()


class ServicesThread:
    """Runs the services once, from ``start`` until it is asked to stop."""

    def __init__(self, app: App, program: Path | None) -> None:
        """``program`` is the file that agent and store are named after; None for the one that Python runs."""
        self._app = app
        self._program = program
        #: The door and its loop, as soon as the services run; or why they do not.
        self.door: Future[tuple[Door, asyncio.AbstractEventLoop]] = Future()
        self.lifespan = LifespanElsewhere()
        #: Done when everything is written and closed.
        self.ended: Future[None] = Future()
        self._stop: StopSignal | None = None
        self._thread = threading.Thread(target=self._run, name="outlast-services", daemon=True)

    def start(self) -> None:
        """Begin; comes back at once."""
        _running.add(self)
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Have the services stop as after SIGTERM; comes back at once. Asked again, they stop at once."""
        if self._stop is not None:
            _, loop = self.door.result()
            with contextlib.suppress(RuntimeError):  # it has ended, and its loop is closed
                loop.call_soon_threadsafe(self._stop.ask, self._stop.grace)

    def join(self) -> None:
        """Stop the services and wait for that, with no lifespan to wait for: the process ends."""
        if self._stop is None:
            return
        if not self.lifespan.left.done():
            self.lifespan.left.set_result(None)
        self.ask_to_stop()
        self._thread.join(self._stop.grace + PATIENCE)

    def _run(self) -> None:
        # Instrumentation that copies context into new threads can leak "a loop is running here" into this one.
        asyncio._set_running_loop(None)
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(self._serve(load_settings(program=self._program)))
        except BaseException as error:
            if self.door.done():
                get_logger().error("the services have ended", error=error)
            else:
                self.door.set_exception(error)  # told by whoever waits for it
        finally:
            _running.discard(self)
            for future in (self.lifespan.may_end, self.ended):
                if not future.done():
                    future.set_result(None)

    async def _serve(self, settings: Settings) -> None:
        stop = StopSignal(settings.shutdown_grace)
        async with AsyncExitStack() as stack:
            agent = await RunningAgent.start(self._app, settings, stack)
            get_logger().info("agent is ready", agent=settings.agent, **agent.connection.shown)
            self._stop = stop  # before the door: whoever has that one may ask to stop
            self.door.set_result((agent.front_door.door, asyncio.get_running_loop()))
            await agent.stop(await stop.wait(), stop, self.lifespan)


def _stop_all() -> None:
    for services in list(_running):
        services.join()


# The last steps of the services need threads here and there, so they come before the pools of concurrent.futures are
# closed: the last registered is called first, and all of these before atexit's.
_register = getattr(threading, "_register_atexit", atexit.register)
_register(_stop_all)
