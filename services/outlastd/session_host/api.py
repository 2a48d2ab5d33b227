"""The client API of a session host: InvokeAgentRuntime and its kin as boto3 speaks them, and what AWS has not."""

from __future__ import annotations

import contextlib
import time
from uuid import uuid4

from outlast.headers import SESSION_ID
from outlast.ping import PingStatus
from outlast.telemetry.log import get_logger
from outlastd.front_door.asgi_response import WEBSOCKET_DENIAL, send_whole
from outlastd.front_door.asgi_types import Message, Receive, Send
from outlastd.front_door.guard import Guard
from outlastd.front_door.request import ClientGone, Refusal, Request
from outlastd.front_door.response import Response, json_response
from outlastd.front_door.task_client import TaskClient
from outlastd.session_host.admission import Admission
from outlastd.session_host.api_error import ERROR_TYPE, ApiError, internal, invalid
from outlastd.session_host.call import ANSWERED_REQUEST_ID
from outlastd.session_host.config import HostConfig
from outlastd.session_host.in_session import InSession
from outlastd.session_host.invoking import Invoking
from outlastd.session_host.ports import Authenticator
from outlastd.session_host.protected_resource import ProtectedResource
from outlastd.session_host.refusals import refused
from outlastd.session_host.repeats import Repeats
from outlastd.session_host.routing import Routes
from outlastd.session_host.sessions import Sessions
from outlastd.session_host.sessions_api import SessionsApi
from outlastd.session_host.sockets import Sockets
from outlastd.session_host.strict import Strict
from outlastd.session_host.tasks_api import TasksApi

#: What pages of an allowed origin may read beside the body.
_EXPOSED = "Access-Control-Expose-Headers"


class Api:
    """Lets requests in and answers every one of them. Lives on the services' loop; aiohttp's adapter serves it."""

    def __init__(
        self,
        config: HostConfig,
        sessions: Sessions,
        authenticator: Authenticator,
        repeats: Repeats,
        task_client: TaskClient | None,
        strict: Strict,
        *,
        guard: Guard,
    ) -> None:
        """``task_client`` asks the task manager about tasks; None where there is none."""
        self._guard = guard
        admission = Admission(authenticator, config.max_requests)
        in_session = InSession(config, sessions, admission, repeats)
        self._sockets = Sockets(config, sessions, admission, strict)
        self._since = int(time.time())
        self._routes = Routes()
        Invoking(config, in_session, strict).route(self._routes)
        SessionsApi(config, sessions, admission, repeats, task_client).route(self._routes)
        if task_client is not None:
            TasksApi(config, sessions, admission, task_client).route(self._routes)
        jwt = config.auth.jwt
        self._resource = None if jwt is None else ProtectedResource(jwt.issuer, config.public_url)
        if self._resource is not None:
            self._resource.route(self._routes)
        self._routes.add("GET", "/ping", self._ping)
        self._routes.add("GET", "/runtimes/{}/ws", self._no_websocket)

    def route_of(self, request: Request) -> str:
        """Return the pattern of the path that a request is answered at; empty where there is nothing."""
        return self._routes.route_of(request.raw_path)

    async def handle(self, request: Request) -> Response:
        """Return the answer to a request; whoever gets a body of chunks closes it.

        Raises:
            ClientGone: the client left before its request was complete.
        """
        try:
            self._guard.check(request)
        except Refusal as refusal:
            return self._complete(request, refused(refusal))
        response = self._guard.preflight(request) or await self._answer(request)
        self._guard.mark(request, response)
        if _EXPOSED in response.headers:
            response.headers[_EXPOSED] += f", {SESSION_ID}, {ANSWERED_REQUEST_ID}, {ERROR_TYPE}"
        return self._complete(request, response)

    async def websocket(self, request: Request, receive: Receive, send: Send) -> None:
        """Serve a request that asks for a WebSocket, up to the end of the connection; see Door."""
        begun = False

        async def note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            self._guard.check(request)
            handler, segments = self._routes.find("GET", request.raw_path)
            if handler != self._no_websocket:
                raise invalid("There is no WebSocket at this path")
            await self._sockets.serve(request, segments[0], receive, note)
        except Exception as error:
            told = self._complete(request, _told(error, request))
            if not begun:  # else the adapter breaks it off
                with contextlib.suppress(OSError):  # the client has left
                    await send_whole(told, send, events=WEBSOCKET_DENIAL)

    async def _answer(self, request: Request) -> Response:
        try:
            handler, segments = self._routes.find(request.method, request.raw_path)
            return await handler(request, *segments)
        except ClientGone:
            raise
        except Exception as error:
            return _told(error, request)

    def _complete(self, request: Request, response: Response) -> Response:
        response.headers.setdefault(ANSWERED_REQUEST_ID, str(uuid4()))
        if response.status == 401 and self._resource is not None:
            response.headers["WWW-Authenticate"] = self._resource.challenge(request)
        return response

    async def _ping(self, request: Request) -> Response:
        """Say that the host is there; anybody may know."""
        return json_response({"status": PingStatus.HEALTHY.value, "time_of_last_update": self._since})

    async def _no_websocket(self, request: Request, segment: str) -> Response:
        raise invalid("This path wants a WebSocket: the request has no Upgrade header")


def _told(error: Exception, request: Request) -> Response:
    """Return what the client is told of what went wrong; of a fault of ours, only that there was one."""
    if isinstance(error, ApiError):
        return error.response()
    if isinstance(error, Refusal):
        return refused(error)
    get_logger().error("a request failed", error=error, method=request.method, path=request.path)
    return internal().response()
