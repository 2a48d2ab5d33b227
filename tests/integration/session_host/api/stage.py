"""The client API on a real socket: sessions from a script, their guest a real server, and real clients."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import botocore.config
from aiohttp import web
from yarl import URL

from outlast.core.session import Session, SessionKey, SessionState
from outlast.settings.kinds import read
from outlastd.front_door.aiohttp_server import AiohttpServer
from outlastd.front_door.guard import Guard
from outlastd.front_door.request import Request
from outlastd.front_door.task_client import TaskClient
from outlastd.session_host.api import Api
from outlastd.session_host.api_error import ApiError, denied, not_found
from outlastd.session_host.config import HostConfig
from outlastd.session_host.guest_client import Endpoint, GuestClient
from outlastd.session_host.principal import Principal
from outlastd.session_host.refusals import refused
from outlastd.session_host.repeats import Repeats
from outlastd.session_host.session_list import SessionPage
from outlastd.session_host.session_view import SessionView
from outlastd.session_host.strict import Strict
from outlastd.session_host.use import Use

ARN = "arn:aws:bedrock-agentcore:us-west-2:123456789012:runtime/my_agent-AbCdEf1234"
SESSION = "session-0123456789-0123456789-0123456789"
SECRET = "known-to-the-host-alone"


class FakeSession:
    """A session whose process is the stage's guest."""

    def __init__(self, record: Session) -> None:
        self.record = record
        self.in_flight = self.uses = self.touches = 0
        self.idle = asyncio.Event()
        self.told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def use_began(self) -> None:
        """Count one more."""
        self.in_flight += 1
        self.uses += 1
        self.idle.clear()

    def use_ended(self) -> None:
        """Count one less."""
        self.in_flight -= 1
        if not self.in_flight:
            self.idle.set()

    def touched(self) -> None:
        """Count a sign of life."""
        self.touches += 1

    async def until_told(self) -> str:
        """Wait for the test's word."""
        return await asyncio.shield(self.told)


class FakeSessions:
    """Begins every session that it is asked for, unless the test says otherwise."""

    def __init__(self, guest: GuestClient) -> None:
        self.guest = guest
        self.live: dict[SessionKey, FakeSession] = {}
        #: Raised by the next uses and stops.
        self.failure: Exception | None = None
        self.users: list[str] = []
        self.stopped: list[SessionKey] = []
        self.listed: list[dict[str, Any]] = []

    def begin(self, session_id: str = SESSION, user: str = "") -> FakeSession:
        """Have a session, before anybody asks for it."""
        key, now = SessionKey("my_agent", session_id), datetime.now(UTC)
        record = Session(key, SessionState.RUNNING, "host", 1, user=user, created_at=now, started_at=now)
        return self.live.setdefault(key, FakeSession(record))

    @property
    def only(self) -> FakeSession:
        """The one session that there is."""
        (session,) = self.live.values()
        return session

    async def use(self, key: SessionKey, caller: Principal, user: str = "") -> Use:
        """Return a use."""
        if self.failure is not None:
            raise self.failure
        self.users.append(user)
        session = self.begin(key.session_id, caller.user or user)
        if not caller.sees(session.record):
            raise denied()
        return Use(session, self.guest, None)  # type: ignore[arg-type]

    async def stop(self, key: SessionKey, caller: Principal) -> None:
        """End a session."""
        if self.failure is not None:
            raise self.failure
        session = self._seen(key, caller)
        del self.live[key]
        self.stopped.append(key)
        session.told.set_result(f"{caller.name} has asked for it")

    async def view(self, key: SessionKey, caller: Principal) -> SessionView:
        """Return what there is."""
        if key in self.stopped:
            return SessionView(Session(key, SessionState.STOPPED, "host", 1))
        return SessionView(self._seen(key, caller).record)

    async def list(self, caller: Principal, **which: Any) -> SessionPage:
        """Return everything that may be seen."""
        self.listed.append(which)
        return SessionPage(
            [SessionView(live.record) for live in self.live.values() if caller.sees(live.record)], "next"
        )

    def _seen(self, key: SessionKey, caller: Principal) -> FakeSession:
        session = self.live.get(key)
        if session is None or not caller.sees(session.record):
            raise not_found("no such session")
        return session


class FakeAuthenticator:
    """Knows one principal; the test says what is not believed."""

    def __init__(self) -> None:
        self.principal = Principal("tester", operator=True)
        self.unreadable: ApiError | None = None
        self.unproved: ApiError | None = None
        self.hashes: list[str] = []

    async def read(self, request: Request) -> FakeAuthenticator:
        """Return itself as the claim."""
        if self.unreadable is not None:
            raise self.unreadable
        return self

    def prove(self, body_sha256: str) -> Principal:
        """Return the principal."""
        self.hashes.append(body_sha256)
        if self.unproved is not None:
            raise self.unproved
        return self.principal


class RecordingStrict(Strict):
    """Remembers what it was told."""

    def __init__(self) -> None:
        super().__init__(False)
        self.said: list[tuple[Any, ...]] = []

    def request(self, key: SessionKey, size: int) -> None:
        """Remember it."""
        self.said.append(("request", size))

    def answered(self, key: SessionKey, seconds: float) -> None:
        """Remember it."""
        self.said.append(("answered",))

    def answer_ended(self, key: SessionKey, seconds: float, size: int, largest_chunk: int, streamed: bool) -> None:
        """Remember it."""
        self.said.append(("answer_ended", size, largest_chunk, streamed))

    def frame(self, key: SessionKey, size: int) -> None:
        """Remember it."""
        self.said.append(("frame", size))


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Guest:
    """The agent's process: a server on a Unix socket, which answers as the test says."""

    def __init__(self) -> None:
        self.answer: Answer = echo
        self.card: Answer = echo
        self.websocket: Answer = echo
        self.requests: list[web.Request] = []
        self.left = asyncio.Event()

    async def start(self, path: Path, stay: AsyncExitStack) -> None:
        """Serve."""
        app = web.Application(client_max_size=1024**3)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        stay.push_async_callback(runner.cleanup)
        await web.UnixSite(runner, str(path)).start()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["X-Outlast-Secret"] == SECRET
        self.requests.append(request)
        answers = {"/invocations": self.answer, "/ws": self.websocket, "/.well-known/agent-card.json": self.card}
        try:
            return await answers[request.path](request)
        except asyncio.CancelledError:
            self.left.set()
            raise


async def echo(request: web.Request) -> web.StreamResponse:
    """Answer the payload and the session."""
    session = request.headers["X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"]
    return web.json_response({"payload": (await request.read()).decode("latin-1"), "session": session})


class Stage:
    """A host's API, and everything that the test may turn."""

    def __init__(self, stay: AsyncExitStack, folder: Path) -> None:
        self._stay = stay
        self._folder = folder
        self.guest = Guest()
        self.auth = FakeAuthenticator()
        self.strict = RecordingStrict()
        self.sessions: FakeSessions
        self.http: aiohttp.ClientSession
        self.address = ""

    async def open(
        self,
        task_client: TaskClient | None = None,
        io_timeout: float = 60.0,
        origins: Sequence[str] = (),
        **config: Any,
    ) -> Stage:
        """Begin to serve; ``config`` is the host's, ``agent`` in it the agent's."""
        socket = self._folder / "guest.sock"
        await self.guest.start(socket, self._stay)
        client = GuestClient(Endpoint(socket, secret=SECRET))
        self._stay.push_async_callback(client.close)
        self.sessions = FakeSessions(client)
        agent = {"command": ("agent",), **config.pop("agent", {})}
        repeats = Repeats(300.0, 10_000_000)
        self._stay.push_async_callback(repeats.close)
        sessions: Any = self.sessions
        settings = read(HostConfig, {"agents": {"my_agent": agent}, **config})
        api = Api(settings, sessions, self.auth, repeats, task_client, self.strict, guard=Guard(origins))
        server = AiohttpServer(api, io_timeout=io_timeout, refused=refused)
        self._stay.push_async_callback(server.close)
        self._stay.push_async_callback(server.stop_listening)
        ((host, port),) = await server.listen("127.0.0.1", 0)
        self.address = f"http://{host}:{port}"
        self.http = await self._stay.enter_async_context(aiohttp.ClientSession())
        return self

    def boto(self, **config: Any) -> Any:
        """Return boto3's client."""
        settings: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "read_timeout": 30, **config}
        return boto3.session.Session().client(
            "bedrock-agentcore",
            region_name="us-west-2",
            endpoint_url=self.address,
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="secret",
            config=botocore.config.Config(**settings),
        )

    async def call(self, operation: str, **arguments: Any) -> Any:
        """Call an operation of boto3's client, in a thread."""
        return await asyncio.to_thread(self._call, operation, arguments)

    def _call(self, operation: str, arguments: dict[str, Any]) -> Any:
        arguments.setdefault("agentRuntimeArn", ARN)
        answer = getattr(self.boto(), operation)(**arguments)
        if "response" in answer:
            answer["body"] = answer["response"].read()
        return answer

    async def ask(self, method: str, path: str, *, session: str | None = SESSION, **options: Any) -> Told:
        """Send any request."""
        headers = dict(options.pop("headers", {}))
        if session is not None:
            headers["X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"] = session
        if isinstance(data := options.get("data"), bytes):
            options["data"] = io.BytesIO(data)  # aiohttp warns of large bytes
        url = URL(self.address + path, encoded=True)
        async with self.http.request(method, url, headers=headers, **options) as response:
            return Told(response, await response.read())


class Told:
    """What came back."""

    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str]:
        """The status and the kind of an error, which has a message and an id."""
        assert self.json["message"]
        assert self.headers["x-amzn-RequestId"]
        return self.status, self.headers["x-amzn-ErrorType"]


def events(count: int) -> Sequence[bytes]:
    """Return some server-sent events."""
    return [f'data: {{"n": {number}}}\n\n'.encode() for number in range(count)]
