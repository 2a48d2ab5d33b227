"""Joins the two ends of a WebSocket: the adapter's on the services' loop, the handler's on the agent's loop.

What the client sends is read ahead, so that its pings are answered and its leaving is noticed while a handler is busy
with something else; up to a bound, beyond which the client has to wait.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from functools import partial

from outlast.core.errors import TaskManagerUnavailable
from outlast.tasks.entrypoints import Watermarked
from outlast.tasks.loops import LoopThread, Mailbox
from outlastd.front_door.asgi_types import Message, Receive, Send
from outlastd.front_door.durability import Durability

#: Bytes of messages that nobody has taken yet, beyond which no more are read.
READ_AHEAD = 1024 * 1024
#: Bytes that a message counts for beside its data.
OVERHEAD = 1024
#: What a handler is told when the connection is gone without a word.
ABNORMAL = 1006


class ConnectionOver(ConnectionResetError):
    """Nothing can be sent any more: the client has left, or the connection has been closed.

    An OSError, as ASGI has it: Starlette makes its WebSocketDisconnect of it.
    """


class WebSocketBridge:
    """One connection. Made on the services' loop."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        home: Mailbox,
        agent_loop: LoopThread,
        ledger: Watermarked,
        durability: Durability,
        ack_timeout: float,
    ) -> None:
        self._receive = receive
        self._send = send
        self._home = home
        self._agent_loop = agent_loop
        self._ledger = ledger
        self._durability = durability
        self._ack_timeout = ack_timeout
        # On the services' loop.
        self._accepted = False
        self._over = False
        self._sending = asyncio.Lock()
        self._closing = asyncio.Lock()
        self._unread = 0
        self._room = asyncio.Event()
        # On the agent's loop.
        self._arrived: deque[Message] = deque()
        self._arrival = asyncio.Event()
        self._taken = 0

    # -- on the agent's loop ---------------------------------------------------------------------------

    async def receive(self) -> Message:
        """Return the next event. A cancel loses none, and after the last one it comes again."""
        while not self._arrived:
            self._arrival.clear()
            await self._arrival.wait()
        message = self._arrived[0]
        if message["type"] != "websocket.disconnect":
            self._arrived.popleft()
            self._taken += _cost(message)
            if self._taken >= READ_AHEAD // 2:
                self._call_home(self._release, self._taken)
                self._taken = 0
        return message

    async def send(self, message: Message) -> None:
        """Return once the event has been passed on, and before it every task started up to now is durable (promise 1).

        Raises:
            ConnectionOver: nobody would get it.
            TaskManagerUnavailable: the tasks have not become durable in time; nothing was sent.
        """
        await asyncio.sleep(0)  # tasks that were just created take their first step before the watermark is read
        loop = asyncio.get_running_loop()
        answer: Callable[..., object] = loop.call_soon_threadsafe  # a tool's loop may send, too
        if self._agent_loop.is_current():
            answer = self._agent_loop.post
        sent = loop.create_future()
        delivery = _Delivery(message, self._ledger.watermark, partial(answer, _settle, sent))
        self._call_home(delivery.begin, self)
        try:
            await sent
        except asyncio.CancelledError:
            self._call_home(delivery.cancel)
            raise

    def _call_home(self, callback: Callable[..., object], *arguments: object) -> None:
        try:
            self._home.post(partial(callback, *arguments))
        except RuntimeError:
            raise ConnectionOver("the agent has stopped") from None

    def _arrive(self, message: Message) -> None:
        self._arrived.append(message)
        self._arrival.set()

    # -- on the services' loop -------------------------------------------------------------------------

    async def pump(self) -> None:
        """Pass on what the client sends, up to the end of the connection."""
        message: Message = {"type": ""}
        while message["type"] != "websocket.disconnect":
            try:
                message = await self._receive()
            except Exception:  # the adapter has no more to say: that is how a connection ends, too
                message = {"type": "websocket.disconnect", "code": ABNORMAL, "reason": ""}
            self._pass_on(message)
            self._unread += _cost(message)
            while self._unread >= READ_AHEAD and not self._over:
                self._room.clear()
                await self._room.wait()

    async def deliver(self, message: Message, watermark: int) -> None:
        """Send what the handler sends, in its order, each once what it may speak of is durable."""
        async with self._sending:
            try:
                await self._durability.acknowledged(watermark, self._ack_timeout)
            except TimeoutError:
                raise TaskManagerUnavailable(
                    f"the task manager has not confirmed within {self._ack_timeout:g} s the tasks that were started: "
                    "nothing was sent that may speak of them; they run and will be recorded"
                ) from None
            if self._over:
                raise ConnectionOver("the connection is over")
            await self._pass_out(message)

    async def close(self, code: int, reason: str = "") -> None:
        """Close the connection, whatever the handler is at; one that is not accepted yet is refused."""
        async with self._closing:  # who comes second returns once it is closed, too
            if not self._over:
                with contextlib.suppress(OSError, RuntimeError):  # the client has left
                    await self._pass_out({"type": "websocket.close", "code": code, "reason": reason})

    @property
    def accepted(self) -> bool:
        """Whether the handler has accepted the connection."""
        return self._accepted

    def end(self) -> None:
        """Let go of whoever still waits for the client: the handler has ended."""
        self._finish(ABNORMAL)

    async def _pass_out(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.close":
            self._finish(message.get("code", 1000), message.get("reason") or "")
        elif kind == "websocket.accept":
            self._accepted = True
        try:
            await self._send(message)
        except OSError as error:
            raise ConnectionOver("the client has left") from error

    def _finish(self, code: int, reason: str = "") -> None:
        self._pass_on({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._over = True
        self._room.set()

    def _pass_on(self, message: Message) -> None:
        if not self._over:
            with contextlib.suppress(RuntimeError):  # the agent's loop is closed, and nobody waits there
                self._agent_loop.post(self._arrive, message)

    def _release(self, cost: int) -> None:
        self._unread -= cost
        self._room.set()


class _Delivery:
    """One event on its way out. On the services' loop."""

    def __init__(self, message: Message, watermark: int, answer: Callable[[BaseException | None], object]) -> None:
        self._message = message
        self._watermark = watermark
        self._answer = answer
        self._task: asyncio.Task[None] | None = None

    def begin(self, bridge: WebSocketBridge) -> None:
        """Start to send."""
        self._task = asyncio.get_running_loop().create_task(self._run(bridge))

    def cancel(self) -> None:
        """Send it not, if it has not been sent."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self, bridge: WebSocketBridge) -> None:
        error: BaseException | None = None
        try:
            await bridge.deliver(self._message, self._watermark)
        except asyncio.CancelledError:
            error = ConnectionOver("the agent is stopping")
        except Exception as failure:
            error = failure
        with contextlib.suppress(RuntimeError):  # the handler's loop is closed
            self._answer(error)


def _settle(sent: asyncio.Future[None], error: BaseException | None) -> None:
    if sent.done():  # cancelled
        return
    if error is None:
        sent.set_result(None)
    else:
        sent.set_exception(error)


def _cost(message: Message) -> int:
    return OVERHEAD + len(message.get("text") or message.get("bytes") or b"")
