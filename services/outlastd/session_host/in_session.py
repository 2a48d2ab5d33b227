"""Runs what a client asks for in its session: finds that, holds it, and gives a repeat the first answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from outlast.telemetry.log import get_logger
from outlastd.front_door.request import Request
from outlastd.front_door.response import Response
from outlastd.session_host.admission import Admission
from outlastd.session_host.api_error import ApiError
from outlastd.session_host.call import Call, read_call
from outlastd.session_host.config import HostConfig
from outlastd.session_host.repeat_key import RepeatKey
from outlastd.session_host.repeats import Repeats
from outlastd.session_host.room import Room
from outlastd.session_host.sessions import Sessions
from outlastd.session_host.spool import SpooledBody
from outlastd.session_host.use import Use
from outlastd.session_host.watched import Watched

#: Names a call of boto3's, and all its repeats (contract section 2.1).
INVOCATION_ID = "amz-sdk-invocation-id"
MAX_INVOCATION_ID = 256


@dataclass(frozen=True, slots=True)
class Visit:
    """A call that has got its session."""

    call: Call
    body: SpooledBody
    use: Use


Work: TypeAlias = Callable[[Visit], Awaitable[Response]]
Before: TypeAlias = Callable[[Call], Awaitable[Response | None]]


class InSession:
    """Answers requests that need the process of a session. Lives on the services' loop."""

    def __init__(self, config: HostConfig, sessions: Sessions, admission: Admission, repeats: Repeats) -> None:
        self._config = config
        self._sessions = sessions
        self._admission = admission
        self._repeats = repeats
        self._room = Room(config.max_requests, "requests")

    async def answer(
        self, request: Request, segment: str, limit: int, work: Work, first: Before | None = None
    ) -> Response:
        """Return what ``work`` answers in the session that the request names.

        ``limit`` is for the bytes of the body. ``first`` may answer without any session, or raise ApiError.

        Raises:
            ApiError: it is not to be, or has failed.
            ClientGone: the client left before its request was complete.
        """
        async with AsyncExitStack() as stay, AsyncExitStack() as unvisited:
            caller, body = await self._admission.spooled(request, limit)
            unvisited.push_async_callback(body.close)
            stay.callback(self._room.enter())
            call = read_call(request, segment, self._config, caller)
            if first is not None and (response := await first(call)) is not None:
                response.headers.update(call.answer_headers)
                return response
            visit = partial(self._visit, call, body, unvisited, work)
            response = await self._repeats.answer(_repeat_key(request, call, body), visit)
            if not isinstance(response.body, bytes):
                response.body = Watched(response.body, stay.pop_all().aclose)
        return response

    async def _visit(self, call: Call, body: SpooledBody, unvisited: AsyncExitStack, work: Work) -> Response:
        async with unvisited.pop_all() as stay:  # from here on the body is closed with the visit
            try:
                use = await stay.enter_async_context(await self._sessions.use(call.key, call.caller, call.user))
                response = await work(Visit(call, body, use))
            except ApiError as error:
                error.headers |= call.answer_headers
                if error.ran:
                    get_logger().warning(
                        "an agent has failed", session=str(call.key), requestId=call.request_id, why=error.message
                    )
                raise
            response.headers.update(call.answer_headers)
            if not isinstance(response.body, bytes):
                response.body = Watched(response.body, stay.pop_all().aclose)
        return response


def _repeat_key(request: Request, call: Call, body: SpooledBody) -> RepeatKey | None:
    invocation_id = request.headers.get(INVOCATION_ID, "")
    if not 0 < len(invocation_id) <= MAX_INVOCATION_ID:
        return None
    asked = f"{request.raw_path} {invocation_id}"  # an id is one operation's
    return RepeatKey(call.caller.name, call.key.agent, call.key.session_id, asked, body.sha256)
