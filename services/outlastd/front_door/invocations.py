"""``POST /invocations``: calls the agent's handler and answers as the contract has it (section 1.3)."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial

from outlast.context import Invocation
from outlast.ping import PingBoard
from outlast.tasks.call_pool import CallPoolFull
from outlast.tasks.entrypoints import Entrypoints
from outlast.tasks.handler import Entrypoint
from outlast.telemetry import lines, records
from outlast.telemetry.invocation_span import InvocationSpan
from outlast.telemetry.log import summary_of
from outlastd.front_door.agent import Agent
from outlastd.front_door.answers import HEARD_WAIT, Answers, Ended, name_of
from outlastd.front_door.asgi_call import AsgiCalls
from outlastd.front_door.call_context import begin_invocation, handler_context
from outlastd.front_door.debug_actions import DebugActionFailed, DebugActions
from outlastd.front_door.durability import Durability, check_available
from outlastd.front_door.failure import Failure, message_of
from outlastd.front_door.rendering import AsgiResponse
from outlastd.front_door.request import Refusal, Request
from outlastd.front_door.response import Response, internal_error, json_response, refusal_response
from outlastd.front_door.rules import InvocationRules


class Invocations:
    """Calls the handler; on the services' loop."""

    def __init__(
        self,
        agent: Agent,
        entrypoints: Entrypoints[Response | AsgiResponse, Failure],
        ping: PingBoard,
        durability: Durability,
        rules: InvocationRules,
        debug_actions: DebugActions,
    ) -> None:
        self._agent = agent
        self._entrypoints = entrypoints
        self._answers = Answers(agent, durability, rules, AsgiCalls(entrypoints.agent_loop, entrypoints.watermark))
        self._ping = ping
        self._durability = durability
        self._rules = rules
        self._debug_actions = debug_actions
        self._entrypoint: Entrypoint | None = None
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Return once no invocation is in flight; a stream is, up to its end."""
        await self._idle.wait()

    async def invoke(self, request: Request) -> Response:
        """Answer ``POST /invocations``."""
        invocation, span = begin_invocation(request, self._rules.session_id)
        response: Response | None = None
        self._begin()
        try:
            response = await self._answer(request, invocation, span)
            if records.unheard():
                await records.heard(HEARD_WAIT)
        except BaseException:
            if response is not None and not isinstance(response.body, bytes):
                await response.body.aclose()  # given up, and nobody else has it
            raise
        finally:
            if response is None or isinstance(response.body, bytes):
                self._end(span)  # a stream does so when it is closed
        return response

    def _begin(self) -> None:
        self._in_flight += 1
        self._idle.clear()
        self._ping.invocation_started()

    def _end(self, span: InvocationSpan) -> None:
        span.__exit__(None, None, None)
        self._ping.invocation_ended()
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()

    async def _answer(self, request: Request, invocation: Invocation, span: InvocationSpan) -> Response:
        failure: Failure | None = None
        try:
            if self._in_flight > self._rules.max_invocations:
                why = f"the agent is busy: {self._rules.max_invocations:,} invocations are under way; try again"
                raise Refusal(429, why)
            body = await request.read(self._rules.max_body_bytes)
            payload = _payload_of(body, invocation)
            lines.debug("Processing invocation request", invocation=invocation)
            response = await self._debug(payload, invocation) if self._agent.debug else None
            if response is None:
                outcome = await self._call(request, body, payload, invocation, span)
                failure = outcome.error
                response = await self._answers.answer(outcome, request, invocation, partial(self._end, span))
        except Refusal as refusal:
            response = refusal_response(refusal)
        span.set_status(response.status, None if failure is None else failure.fields)
        return response

    async def _debug(self, payload: object, invocation: Invocation) -> Response | None:
        """Answer a payload that asks for a debug action; None for any other."""
        began = time.monotonic()
        try:
            response = await self._debug_actions.run(payload, invocation)
        except DebugActionFailed as failed:
            told = {"error": "Debug action failed", "details": message_of(failed.cause)}
            response = json_response(told if self._rules.error_detail else internal_error(invocation.request_id), 500)
        except Exception as error:  # as in the original: a payload that is no object
            return self._answers.failure(Failure.of(error), time.monotonic() - began, invocation)
        if response is not None:
            lines.write("INFO", f"Debug action completed ({time.monotonic() - began:.3f}s)", invocation=invocation)
        return response

    async def _call(
        self, request: Request, body: bytes, payload: object, invocation: Invocation, span: InvocationSpan
    ) -> Ended:
        """Run the handler, if there is one and its tasks can be kept."""
        handler = self._agent.entrypoint_handler
        if handler is None:
            lines.write("ERROR", "No entrypoint defined", invocation=invocation)
            raise Refusal(500, "No entrypoint defined")
        if self._entrypoint is None or self._entrypoint.handler is not handler:
            self._entrypoint = Entrypoint.of(handler)
        check_available(self._durability)
        if self._entrypoint.takes_context:
            request.body = body  # the handler may read it again
        lines.debug("Invoking handler: %s", name_of(handler), invocation=invocation)
        make_context, context = partial(self._make_context, request, invocation), handler_context(invocation, span)
        try:
            return await self._entrypoints.run(self._entrypoint, payload, make_context, context)
        except CallPoolFull as error:
            raise Refusal(429, f"the agent is busy: {error}; try again") from None

    # -- on the handler's thread -----------------------------------------------------------------------

    def _make_context(self, request: Request, invocation: Invocation) -> object:
        """Return what the handler gets as ``context``; one that says nothing where it cannot be made."""
        try:
            return self._agent.make_context(invocation.session_id or None, invocation.request_headers, request)
        except Exception as error:
            lines.write("WARNING", f"Failed to build request context: {summary_of(error)}", invocation=invocation)
            return self._agent.make_context(None, None, None)


def _payload_of(body: bytes, invocation: Invocation) -> object:
    """Return what a body says; raise Refusal with 400, and one line, when that is no JSON."""
    began = time.monotonic()
    try:
        if body[:1].isascii() and b"\0" not in body[:2]:  # json.loads() would find out as much, but slowly
            return json.loads(body.decode("utf-8", "surrogatepass"))
        return json.loads(body)
    except UnicodeDecodeError as error:
        wrong, why = "Invalid encoding", str(error)
    except ValueError as error:  # JSONDecodeError, and an integer too long for Python to read
        wrong, why = "Invalid JSON", str(error)
    except RecursionError:
        wrong, why = "Invalid JSON", "it is nested too deeply"
    seconds = time.monotonic() - began
    lines.write("WARNING", f"{wrong} in request ({seconds:.3f}s): {why}", invocation=invocation)
    raise Refusal(400, wrong, details=why)
