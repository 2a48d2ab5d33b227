"""``/ws``: calls the agent's handler, on the agent's loop, once for each connection (contract section 1.4)."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any

from outlast import websocket
from outlast.context import Invocation
from outlast.tasks.entrypoints import Watermarked
from outlast.tasks.loops import LoopThread, Mailbox
from outlast.telemetry import lines
from outlast.telemetry.invocation_span import InvocationSpan
from outlastd.front_door.agent import Agent
from outlastd.front_door.asgi_types import Receive, Scope, Send
from outlastd.front_door.call_context import begin_invocation, handler_context
from outlastd.front_door.durability import Durability, check_available
from outlastd.front_door.request import Refusal, Request
from outlastd.front_door.rules import InvocationRules
from outlastd.front_door.websocket_bridge import ConnectionOver, WebSocketBridge

PATH = "/ws"
#: Close codes: the handler has failed; the server stops and may be there again soon.
FAILED = 1011
RESTARTING = 1012
#: Seconds that a cancelled handler has to clean up.
CLEAN_UP = 1.0


class WebSockets:
    """Serves connections. Made and used on the services' loop."""

    def __init__(
        self,
        agent: Agent,
        agent_loop: LoopThread,
        ledger: Watermarked,
        durability: Durability,
        rules: InvocationRules,
    ) -> None:
        self.agent = agent
        self.agent_loop = agent_loop
        self.home = Mailbox(asyncio.get_running_loop())
        self._ledger = ledger
        self._durability = durability
        self._rules = rules
        self._calls: set[_Call] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        #: What handlers get; known with the first connection.
        self.interface: Callable[[Scope, Receive, Send], Any] | None = None

    async def serve(self, request: Request, receive: Receive, send: Send) -> None:
        """Serve one connection up to its end; ``receive`` and ``send`` pass ASGI's events.

        Raises:
            Refusal: there is no connection to be had, and nothing was sent.
        """
        if request.path != PATH:
            await _refuse(send)
            return
        invocation, span = begin_invocation(request, self._rules.session_id, method="GET", path=PATH)
        error: BaseException | None = None
        try:
            error = await self._serve(request, receive, send, invocation, span)
        finally:
            span.__exit__(None if error is None else type(error), error, None)

    async def close(self, grace: float) -> None:
        """Close every connection, let the handlers end within ``grace`` seconds, and cancel what is left of them."""
        self._closing = True
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await asyncio.gather(
                        *(call.bridge.close(RESTARTING) for call in self._calls if call.bridge.accepted)
                    )
                    await self._idle.wait()
        finally:
            for call in self._calls:
                call.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLEAN_UP):
                await self._idle.wait()

    async def _serve(
        self, request: Request, receive: Receive, send: Send, invocation: Invocation, span: InvocationSpan
    ) -> BaseException | None:
        """Serve a connection of ``invocation``; return what its handler failed with."""
        if self.agent.websocket_handler is None:
            lines.write("ERROR", "No WebSocket handler defined", invocation=invocation)
            span.set_status(403)
            await _refuse(send)
            return None
        if self.interface is None:
            self.interface = await asyncio.to_thread(_interface)  # an import blocks
        try:
            self._admit()
        except Refusal as refusal:
            span.set_status(refusal.status)
            raise
        span.set_status(101)
        timeout = self._rules.ack_timeout
        bridge = WebSocketBridge(receive, send, self.home, self.agent_loop, self._ledger, self._durability, timeout)
        return await self._run(_Call(self, bridge, request.scope, invocation), span)

    def _admit(self) -> None:
        """Let one more connection in, or raise Refusal."""
        if self._closing:
            raise Refusal(503, "the agent is stopping")
        if len(self._calls) >= self._rules.max_invocations:
            why = f"the agent is busy: {self._rules.max_invocations:,} WebSocket connections are open; try again"
            raise Refusal(429, why)
        check_available(self._durability)

    async def _run(self, call: _Call, span: InvocationSpan) -> BaseException | None:
        """Run the handler and, beside it, what brings it the client's messages."""
        self._calls.add(call)
        self._idle.clear()
        pump = asyncio.ensure_future(call.bridge.pump())
        try:
            error = await call.run(span)
            if self._closing:
                await call.bridge.close(RESTARTING)
            elif error is not None:
                await call.bridge.close(FAILED)
            return error
        except asyncio.CancelledError:  # the server gives the connection up: the handler hears that it is over
            call.bridge.end()
            await call.ended_within(CLEAN_UP)
            call.cancel()
            raise
        finally:
            call.bridge.end()
            pump.cancel()
            await asyncio.wait([pump])  # the adapter may go on to the closing handshake
            self._calls.discard(call)
            if not self._calls:
                self._idle.set()


class _Call:
    """One call of the handler."""

    def __init__(self, owner: WebSockets, bridge: WebSocketBridge, scope: Scope, invocation: Invocation) -> None:
        self.bridge = bridge
        self._owner = owner
        self._scope = scope
        self._invocation = invocation
        self._done: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        # On the agent's loop.
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False

    async def run(self, span: InvocationSpan) -> BaseException | None:
        """Return, once the handler has ended, what it failed with; None when it did not fail."""
        self._owner.agent_loop.post(self._start, handler_context(self._invocation, span))
        return await asyncio.shield(self._done)

    async def ended_within(self, seconds: float) -> None:
        """Return once the handler has ended, or the time is over."""
        await asyncio.wait([self._done], timeout=seconds)

    def cancel(self) -> None:
        """Cancel the handler: it has had its time."""
        with contextlib.suppress(RuntimeError):  # its loop is closed, and so it has ended
            self._owner.agent_loop.post(self._cancel)

    def _settle(self, failure: BaseException | None) -> None:
        if not self._done.done():
            self._done.set_result(failure)

    # -- on the agent's loop ---------------------------------------------------------------------------

    def _start(self, context: Context) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), context=context)

    def _cancel(self) -> None:
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        failure: BaseException | None = None
        try:
            await self._handle()
        except BaseException as error:  # a cancel and SystemExit too: they end this connection, and nothing else
            if _is_disconnect(error):
                lines.debug("WebSocket disconnected")
            elif not self._cancelled:
                failure = error
                lines.write("ERROR", "WebSocket handler failed", error=error)
        with contextlib.suppress(RuntimeError):  # the services' loop is closed: the process ends
            self._owner.home.post(partial(self._settle, failure))

    async def _handle(self) -> None:
        agent, invocation = self._owner.agent, self._invocation
        handler = agent.websocket_handler
        assert handler is not None
        assert self._owner.interface is not None
        self._scope.setdefault("app", agent)
        connection = self._owner.interface(self._scope, self.bridge.receive, self.bridge.send)
        context = agent.make_context(invocation.session_id or None, invocation.request_headers, connection)
        lines.debug("WebSocket connection established")
        steps = handler(connection, context)
        if not inspect.isawaitable(steps):
            name = getattr(handler, "__qualname__", repr(handler))
            raise TypeError(f"the WebSocket handler {name} is no coroutine function: define it with async def")
        await steps


def _interface() -> Callable[[Scope, Receive, Send], Any]:
    return websocket.WebSocket


def _is_disconnect(error: BaseException) -> bool:
    """Tell whether a handler ended because the connection did."""
    return isinstance(error, websocket.WebSocketDisconnect | ConnectionOver)


async def _refuse(send: Send) -> None:
    """Close before the accept, of which servers make a 403."""
    with contextlib.suppress(OSError):  # the client has left
        await send({"type": "websocket.close", "code": FAILED, "reason": ""})
