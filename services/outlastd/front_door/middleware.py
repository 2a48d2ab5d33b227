"""The program's middleware: between the adapter and the door, and on the agent's loop, since it is user code."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from outlast.core.errors import StartRefused
from outlast.tasks.loops import LoopThread
from outlast.telemetry.log import get_logger, summary_of
from outlastd.front_door.asgi import AsgiEndpoint
from outlastd.front_door.asgi_call import Acknowledged, AsgiCalls
from outlastd.front_door.asgi_types import ASGIApp, Receive, Send
from outlastd.front_door.denial import deny
from outlastd.front_door.door import Door
from outlastd.front_door.hop import from_elsewhere, run_on
from outlastd.front_door.request import Refusal, Request
from outlastd.front_door.response import Response, json_response, refusal_response

#: Puts the program's middleware around an ASGI application; returns None when it has none.
Wrap = Callable[[ASGIApp], ASGIApp | None]

PING = "/ping"
#: Seconds that middleware has to let a ping pass, and that its loop has to show that nothing blocks it.
PING_PATIENCE = 1.0
LOOP_PATIENCE = 0.2


class Middleware:
    """Passes requests through the program's ASGI stack to the door; on the services' loop.

    ``/ping`` too, unless the agent's loop is blocked, or the stack has not answered within a second: then the door
    answers directly. A handler that blocks its loop blocks no ping (promise 9).
    """

    def __init__(
        self,
        stack: ASGIApp,
        *,
        door: Door,
        agent_loop: LoopThread,
        watermark: Callable[[], int],
        acknowledged: Acknowledged,
        max_body_bytes: int,
    ) -> None:
        """``stack`` ends in an AsgiEndpoint of ``door``."""
        self._stack = stack
        self._door = door
        self._agent_loop = agent_loop
        self._calls = AsgiCalls(agent_loop, watermark)
        self._acknowledged = acknowledged
        self._max_body_bytes = max_body_bytes
        #: What shows, by being done, that the agent's loop runs; and until when it is waited for.
        self._probe: asyncio.Future[None] | None = None
        self._probed_until = 0.0

    @classmethod
    async def around(cls, wrap: Wrap, *, door: Door, agent_loop: LoopThread, **options: Any) -> Middleware | None:
        """Return what ``wrap`` puts around ``door``, made on the agent's loop; None when that is nothing.

        Raises:
            StartRefused: making it raised; the traceback is in the log.
        """
        endpoint = AsgiEndpoint(door, asyncio.get_running_loop())

        async def make() -> ASGIApp | None:
            return wrap(endpoint)

        try:
            stack = await run_on(agent_loop.loop, make())
        except Exception as error:
            get_logger().error("the program's middleware failed to start", error=error)
            raise StartRefused(f"the middleware of the program raised {summary_of(error)}") from None
        return None if stack is None else cls(stack, door=door, agent_loop=agent_loop, **options)

    async def handle(self, request: Request) -> Response:
        """Return the stack's answer to a request.

        Raises:
            ClientGone: the client left before its request was complete.
        """
        try:
            self._door.guard.check(request)
            if request.path != PING:
                return await self._answer(request, self._acknowledged)
        except Refusal as refusal:
            return refusal_response(refusal)
        except TimeoutError:
            # No client sends a request again for a 424: what it asked for may have been done.
            why = "the task manager has not confirmed in time what was started; the tasks run and will be recorded"
            return json_response({"error": why, "code": "UNAVAILABLE"}, 424)
        if await self._loop_answers():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PING_PATIENCE):
                    return await self._answer(request, _at_once)
        return await self._door.handle(request)

    async def _loop_answers(self) -> bool:
        """Tell whether nothing blocks the agent's loop; what does is waited for once, and not by every ping."""
        now = asyncio.get_running_loop().time()
        if self._probe is None:
            self._probe = asyncio.ensure_future(run_on(self._agent_loop.loop, _at_once(0)))
            self._probed_until = now + LOOP_PATIENCE
        done, _ = await asyncio.wait([self._probe], timeout=max(self._probed_until - now, 0.0))
        if done:
            self._probe = None
        return bool(done)

    async def idle(self) -> None:
        """Return once no HTTP request is in the stack."""
        await self._calls.idle()

    async def websocket(self, request: Request, receive: Receive, send: Send) -> None:
        """Serve a WebSocket connection; see Door.websocket."""
        try:
            self._door.guard.check(request)
            await run_on(self._agent_loop.loop, self._serve(request, *from_elsewhere(receive, send)))
        except Refusal as refusal:
            await deny(refusal, request.scope, send)
        except Exception as error:
            get_logger().error("Exception in ASGI application", error=error, path=request.path)

    async def _serve(self, request: Request, receive: Receive, send: Send) -> None:
        await self._stack(request.scope, receive, send)

    async def _answer(self, request: Request, acknowledged: Acknowledged) -> Response:
        return await self._calls.call(
            self._stack,
            request.scope,
            copy_context(),
            acknowledged=acknowledged,
            read=partial(request.read, self._max_body_bytes),
        )


async def _at_once(_: int) -> None:
    """Wait for nothing: a ping speaks of no task."""
