"""A door without a task manager: for unit tests, in which tasks run and nothing is recorded (design: section 4)."""

from __future__ import annotations

import asyncio
import weakref
from concurrent.futures import Future
from typing import TYPE_CHECKING

from outlast.settings.model import load_settings
from outlast.tasks.call_pool import CallPool
from outlast.tasks.loops import LoopThread
from outlastd.front_door.door import Door
from outlastd.front_door.server import FrontDoor, Runtime
from outlastd.launch.agent import front_door_options

if TYPE_CHECKING:
    from outlast.app import App

#: One for all the apps of a process: a test makes many.
_services = LoopThread("outlast-services")


def open_unrecorded_door(app: App) -> Future[tuple[Door, asyncio.AbstractEventLoop]]:
    """Return the door of an app, to come, and the loop that it is on."""
    return asyncio.run_coroutine_threadsafe(_open(app), _services.loop)


async def _open(app: App) -> tuple[Door, asyncio.AbstractEventLoop]:
    await asyncio.to_thread(app.runtime.start_loops)
    settings = await asyncio.to_thread(load_settings)
    loop, pool = asyncio.get_running_loop(), CallPool(threads=settings.max_call_threads)
    # Not at once: the garbage collector asks, on any thread, and that one may hold the pool's lock.
    weakref.finalize(app, loop.call_soon_threadsafe, pool.close).atexit = False
    runtime = Runtime(app.runtime.ledger, app.runtime.agent_loop, pool)
    front_door = FrontDoor(app, app.status, runtime, _NothingToKeep(), None, front_door_options(settings))
    return front_door.door, loop


class _NothingToKeep:
    """Durability where there is none: an answer waits for nothing."""

    def available(self) -> None:
        """Tasks may start."""

    async def acknowledged(self, watermark: int, timeout: float) -> None:
        """Return at once."""
