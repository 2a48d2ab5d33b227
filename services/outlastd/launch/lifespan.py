"""The program's own lifespan: an async context manager around the agent's life."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from outlast.core.errors import StartRefused
from outlast.telemetry.log import get_logger, summary_of

if TYPE_CHECKING:
    from outlast.app import App


class Lifespan(Protocol):
    """A lifespan that has been entered, on whatever loop; seen from the services' loop."""

    async def stop(self, timeout: float) -> None:
        """Leave it, and wait up to ``timeout`` seconds for that. Never raises: what it raises is logged."""
        ...


def lifespan_of(app: App) -> AbstractAsyncContextManager[Mapping[str, Any] | None] | None:
    """Return the program's lifespan, about to be entered; None when it has none."""
    lifespan = app.lifespan
    if lifespan is None:
        return None
    if inspect.isasyncgenfunction(lifespan):
        lifespan = asynccontextmanager(lifespan)
    manager: AbstractAsyncContextManager[Mapping[str, Any] | None] = lifespan(app)
    return manager


class LifespanOnAgentLoop:
    """Runs the lifespan on the agent's loop, where async handlers use what it opens: one task from start to end."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._leave = asyncio.Event()
        self._entered: Future[Mapping[str, Any]] = Future()
        self._left: Future[None] | None = None

    async def start(self) -> Mapping[str, Any]:
        """Enter it; return what it has to say to each request (``request.state``).

        Raises:
            StartRefused: it raised; its traceback is in the log.
        """
        if self._app.lifespan is None:
            return {}
        self._left = asyncio.run_coroutine_threadsafe(self._run(), self._app.runtime.agent_loop.loop)
        try:
            return await asyncio.wrap_future(self._entered)
        except Exception as error:
            get_logger().error("the program's lifespan failed to start", error=error)
            raise StartRefused(f"the lifespan of the program raised {summary_of(error)}") from None

    async def stop(self, timeout: float) -> None:
        """Leave it, and wait up to ``timeout`` seconds for that."""
        if self._left is not None:
            self._app.runtime.agent_loop.post(self._leave.set)
            await _until_left(self._left, timeout)

    async def _run(self) -> None:
        """On the agent's loop."""
        try:
            manager = lifespan_of(self._app)
            assert manager is not None
            state = await manager.__aenter__()
        except BaseException as error:
            self._entered.set_exception(error)
            return
        self._entered.set_result(dict(state or {}))
        await self._leave.wait()
        await manager.__aexit__(None, None, None)


class LifespanElsewhere:
    """A lifespan that somebody else runs, on a loop of theirs, and leaves when it is told that it may."""

    def __init__(self) -> None:
        #: Done when no request and no task is at work any more.
        self.may_end: Future[None] = Future()
        #: To be done once it has been left.
        self.left: Future[None] = Future()

    async def stop(self, timeout: float) -> None:
        """Let it be left, and wait up to ``timeout`` seconds for that."""
        self.may_end.set_result(None)
        await _until_left(self.left, timeout)


async def _until_left(left: Future[None], timeout: float) -> None:
    try:
        async with asyncio.timeout(timeout):
            await asyncio.shield(asyncio.wrap_future(left))
    except TimeoutError:
        get_logger().warning("the program's lifespan did not end in time", seconds=timeout)
    except Exception as error:
        get_logger().error("the program's lifespan failed to end", error=error)
