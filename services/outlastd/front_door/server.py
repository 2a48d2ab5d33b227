"""The front door as a whole: put together, bound to an address, and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlast.core.errors import StartRefused
from outlast.core.value import value
from outlast.ping import PingBoard
from outlast.tasks.call_pool import CallPool
from outlast.tasks.entrypoints import Entrypoints, Watermarked
from outlast.tasks.loops import LoopThread
from outlastd.front_door.access import Access
from outlastd.front_door.agent import Agent
from outlastd.front_door.debug_actions import DebugActions
from outlastd.front_door.door import Door, Front
from outlastd.front_door.durability import Durability
from outlastd.front_door.guard import Guard
from outlastd.front_door.incoming import IO_TIMEOUT
from outlastd.front_door.invocations import Invocations
from outlastd.front_door.listening import why_not_listening
from outlastd.front_door.lock import Lock
from outlastd.front_door.locked import Locked
from outlastd.front_door.measured import measured
from outlastd.front_door.middleware import Middleware, Wrap
from outlastd.front_door.ping import Ping
from outlastd.front_door.rendering import ResponseRenderer
from outlastd.front_door.router import Router
from outlastd.front_door.rules import InvocationRules
from outlastd.front_door.task_client import Channels, TaskClient
from outlastd.front_door.tasks import Tasks
from outlastd.front_door.websockets import WebSockets

if TYPE_CHECKING:
    from outlastd.front_door.aiohttp_server import AiohttpServer

#: How many ports after the wanted one are tried when it is taken and nobody asked for it.
SEARCH = 20


@value(frozen=True, slots=True)
class FrontDoorOptions:
    """How the front door behaves."""

    #: The agent whose tasks ``/tasks`` shows.
    agent_name: str = "agent"
    #: What callers of ``/tasks`` show to see every session's; empty for none.
    token: str = ""
    #: What every request has to show; empty for nothing.
    secret: str = ""
    allowed_origins: Sequence[str] = ()
    allowed_hosts: Sequence[str] = ()
    rules: InvocationRules = field(default_factory=InvocationRules)
    #: Seconds that a client may leave us waiting within a request.
    io_timeout: float = IO_TIMEOUT


@value(frozen=True, slots=True)
class Runtime:
    """What handlers run on; the loop runs already, since its start waits for a thread."""

    ledger: Watermarked
    agent_loop: LoopThread
    call_pool: CallPool


class FrontDoor:
    """The HTTP server of one agent. Made, started and stopped on the services' loop."""

    def __init__(
        self,
        agent: Agent,
        ping: PingBoard,
        runtime: Runtime,
        durability: Durability,
        channels: Channels | None,
        options: FrontDoorOptions,
        *,
        channel_token: str = "",
    ) -> None:
        entrypoints = Entrypoints(runtime.ledger, runtime.agent_loop, runtime.call_pool, ResponseRenderer())
        self._invocations = Invocations(agent, entrypoints, ping, durability, options.rules, DebugActions(agent, ping))
        router = Router()
        router.add("POST", "/invocations", self._invocations.invoke)
        Ping(ping).route(router)
        if channels is not None:  # None where nothing is recorded
            access = Access(options.agent_name, options.token)
            Tasks(TaskClient(channels, channel_token), access, keepalive=options.rules.keepalive).route(router)
        self._websockets = WebSockets(agent, runtime.agent_loop, runtime.ledger, durability, options.rules)
        #: Answers requests, whichever server they come through.
        self.door = Door(
            Guard(options.allowed_origins, options.allowed_hosts),
            router,
            self._websockets,
            Lock(options.secret) if options.secret else None,
        )
        self._io_timeout = options.io_timeout
        #: Made with the start; where a server of somebody else's serves the door there is none.
        self._server: AiohttpServer | None = None
        self._middleware: Middleware | None = None
        self._make_middleware = partial(
            Middleware.around,
            door=self.door,
            agent_loop=runtime.agent_loop,
            watermark=entrypoints.watermark,
            acknowledged=partial(durability.acknowledged, timeout=options.rules.ack_timeout),
            max_body_bytes=options.rules.max_body_bytes,
        )
        self._addresses: list[tuple[str, int]] = []
        self._socket: Path | None = None

    @property
    def port(self) -> int:
        """The port that is served."""
        return self._addresses[0][1]

    @property
    def address(self) -> str:
        """The URL of where the front door listens, or ``unix:PATH``."""
        return f"unix:{self._socket}" if self._socket else f"http://{_address(*self._addresses[0])}"

    @property
    def local_address(self) -> str:
        """The URL that this machine reaches the front door by, also where it answers at every address."""
        host, port = self._addresses[0]
        return f"http://{_address({'0.0.0.0': '127.0.0.1', '::': '::1'}.get(host, host), port)}"

    async def start(
        self, host: str, port: int, *, search: bool = False, state: Mapping[str, Any] | None = None
    ) -> None:
        """Begin to serve. ``search``: where the port is taken, take the next free one, up to 20 on.

        ``state`` is what the program's lifespan has to say to each request.

        Raises:
            StartRefused: the address cannot be had; one line that names cause and cure.
        """
        server = self._made_server()
        server.state = state or {}
        last = min(port + SEARCH, 65_535) if search and port else port
        for candidate in range(port, last + 1):
            try:
                self._addresses = await server.listen(host, candidate)
                break
            except (OSError, OverflowError) as error:
                refusal = _refused(host, candidate, error)
                if getattr(error, "errno", None) != errno.EADDRINUSE:
                    raise refusal from None
        else:
            raise refusal

    async def start_socket(self, path: Path, *, state: Mapping[str, Any] | None = None) -> None:
        """Begin to serve a Unix socket that only this user can open.

        Raises:
            StartRefused: it cannot be had; one line that names cause and cure.
        """
        server = self._made_server()
        server.state = state or {}
        try:
            await server.listen_socket(path)
        except OSError as error:
            raise StartRefused(
                f"the front door cannot listen on the Unix socket {path}: {error.strerror or error}; "
                "choose another with OUTLAST_FRONT_DOOR_SOCKET"
            ) from None
        self._socket = path

    async def put_behind(self, wrap: Wrap) -> None:
        """Have what comes to the listener pass the middleware that ``wrap`` puts around the door, if it has any.

        Raises:
            StartRefused: the middleware cannot be made; one line.
        """
        self._middleware = await self._make_middleware(wrap)
        if self._server is not None:
            self._server.door = self._outermost(self._middleware or self.door)

    async def stop(self, grace: float) -> None:
        """Take no more connections, give what is under way ``grace`` seconds, and close."""
        if self._server is not None:
            await self._server.stop_listening()
        await asyncio.gather(self._websockets.close(grace), self._invocations_end(grace))
        if self._server is not None:
            await self._server.close()

    def _made_server(self) -> AiohttpServer:
        """Return the server, made with the first start."""
        if self._server is None:
            from outlastd.front_door.aiohttp_server import AiohttpServer  # aiohttp: of no use to a server of others'

            self._server = AiohttpServer(self._outermost(self._middleware or self.door), io_timeout=self._io_timeout)
        return self._server

    def _outermost(self, front: Front) -> Front:
        """Return what the listener passes on to: a front behind the lock, if there is one, and measured."""
        locked = front if self.door.lock is None else Locked(self.door.lock, front)
        return measured(locked, self.door.route_of)

    async def _invocations_end(self, grace: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._invocations.idle()
                if self._middleware is not None:
                    await self._middleware.idle()


def _refused(host: str, port: int, error: Exception) -> StartRefused:
    return StartRefused(
        f"the front door cannot listen on {_address(host, port)}: {why_not_listening(error)}; "
        "choose another address with OUTLAST_HOST and OUTLAST_PORT"
    )


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
