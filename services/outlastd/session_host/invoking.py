"""InvokeAgentRuntime, InvokeAgentRuntimeCommand and GetAgentCard: what is asked of an agent in a session."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiohttp import hdrs

from outlastd.front_door.request import Request
from outlastd.front_door.response import JSON, Response
from outlastd.session_host.admission import MAX_SMALL_BODY
from outlastd.session_host.answering import answer_of
from outlastd.session_host.api_error import ApiError
from outlastd.session_host.call import Call
from outlastd.session_host.commands import MAX_BODY, run_command
from outlastd.session_host.config import HostConfig
from outlastd.session_host.in_session import InSession, Visit
from outlastd.session_host.relay import Sent
from outlastd.session_host.routing import Routes
from outlastd.session_host.strict import Strict

#: Bytes of a payload that is sent in one piece.
_ONE_PIECE = 64 * 1024
_CARD = "/.well-known/agent-card.json"


class Invoking:
    """Answers what boto3's client asks of an agent."""

    def __init__(self, config: HostConfig, in_session: InSession, strict: Strict) -> None:
        self._config = config
        self._in_session = in_session
        self._strict = strict

    def route(self, routes: Routes) -> None:
        """Enter the paths."""
        routes.add("POST", "/runtimes/{}/invocations", self.invoke)
        routes.add("POST", "/runtimes/{}/commands", self.command)
        routes.add("GET", f"/runtimes/{{}}/invocations{_CARD}", self.card)

    async def invoke(self, request: Request, segment: str) -> Response:
        """Invoke the agent: any payload, any answer (contract section 2.1)."""
        return await self._in_session.answer(request, segment, self._config.max_body_bytes, self._invoke)

    async def command(self, request: Request, segment: str) -> Response:
        """Run a command beside the agent (contract section 2.3)."""
        return await self._in_session.answer(request, segment, MAX_BODY, self._command, _check_commands)

    async def card(self, request: Request, segment: str) -> Response:
        """Answer what describes the agent (contract section 2.4): a file, or what the agent itself says."""
        return await self._in_session.answer(request, segment, MAX_SMALL_BODY, self._card, _card_file)

    async def _invoke(self, visit: Visit) -> Response:
        call, body = visit.call, visit.body
        self._strict.request(call.key, body.size)
        call.headers[hdrs.CONTENT_LENGTH] = str(body.size)
        data = await body.whole() if body.size <= _ONE_PIECE else body.chunks()
        return await self._ask(visit, "POST", "/invocations", data)

    async def _command(self, visit: Visit) -> Response:
        return await run_command(visit.use, await visit.body.whole())

    async def _card(self, visit: Visit) -> Response:
        return await self._ask(visit, "GET", _CARD)

    async def _ask(self, visit: Visit, method: str, path: str, data: Any = None) -> Response:
        key, began = visit.call.key, time.monotonic()

        def tell(sent: Sent) -> None:
            self._strict.answer_ended(key, sent.seconds, sent.size, sent.largest_chunk, sent.streamed)

        timeout = self._config.invocation_timeout
        headers = visit.call.headers
        response = await answer_of(visit.use, method, path, headers=headers, data=data, timeout=timeout, tell=tell)
        self._strict.answered(key, time.monotonic() - began)
        return response


async def _check_commands(call: Call) -> None:
    if not call.agent.commands:
        raise ApiError(403, "AccessDeniedException", f"Commands are off for the agent {call.key.agent}")


async def _card_file(call: Call) -> Response | None:
    if call.agent.agent_card is None:
        return None
    return Response(200, await asyncio.to_thread(call.agent.agent_card.read_bytes), JSON)
