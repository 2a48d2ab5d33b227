"""``POST /invocations``: calls the agent's handler and answers as the contract has it (section 1.3)."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from contextvars import copy_context
from dataclasses import dataclass
from typing import TypeAlias

from outlast.context import Invocation, current_invocation
from outlast.core.errors import TaskManagerUnavailable
from outlast.headers import TASK_COUNT, TASK_IDS
from outlast.ping import PingBoard
from outlast.tasks.call_pool import CallPoolFull
from outlast.tasks.entrypoints import Entrypoints, Outcome
from outlast.tasks.handler import Entrypoint
from outlast.tasks.item_stream import ItemStream
from outlast.telemetry import lines, records
from outlast.telemetry.log import Level
from outlast.telemetry.tracing import InvocationSpan
from outlastd.front_door.agent import Agent
from outlastd.front_door.asgi_call import AsgiCalls
from outlastd.front_door.call_context import begin_invocation
from outlastd.front_door.debug_actions import DebugActionFailed, DebugActions
from outlastd.front_door.durability import Durability
from outlastd.front_door.invocation_stream import InvocationStream
from outlastd.front_door.rendering import AsgiResponse, http_error_of, http_error_response, message_of, text_of
from outlastd.front_door.request import Refusal, Request
from outlastd.front_door.response import (
    EVENT_STREAM,
    RETRY_AFTER,
    Response,
    internal_error,
    json_response,
    refusal_response,
)
from outlastd.front_door.sse import KEEPALIVE_SECONDS

#: Seconds that a stream's headers wait for its first item, so that they can name the tasks started before it.
FIRST_ITEM_WAIT = 0.5
#: Seconds that an answer waits for log handlers of the program's own to hear what was said of it.
HEARD_WAIT = 0.2
#: Task ids at the most in the answer's header: common clients refuse a header over 8 KiB.
MAX_IDS_IN_HEADER = 350


_Outcome: TypeAlias = Outcome[Response | AsgiResponse]


@dataclass(frozen=True)
class InvocationRules:
    """Limits and manners. Times are in seconds, sizes in bytes."""

    max_body_bytes: int = 100_000_000
    #: Invocations at a time, streams among them; one more is 429.
    max_invocations: int = 1_000
    ack_timeout: float = 10.0
    keepalive: float = KEEPALIVE_SECONDS
    #: Whether a 500 tells the caller what the handler raised, as the contract has it.
    error_detail: bool = True


class Invocations:
    """Calls the handler; on the services' loop."""

    def __init__(
        self,
        agent: Agent,
        entrypoints: Entrypoints[Response | AsgiResponse],
        ping: PingBoard,
        durability: Durability,
        rules: InvocationRules,
        debug_actions: DebugActions,
    ) -> None:
        self._agent = agent
        self._entrypoints = entrypoints
        self._asgi_calls = AsgiCalls(entrypoints.agent_loop, entrypoints.watermark)
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
        invocation, span = begin_invocation(request)
        response: Response | None = None
        self._begin()
        try:
            response = await self._answer(request, invocation, span)
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
        error: BaseException | None = None
        try:
            if self._in_flight > self._rules.max_invocations:
                why = f"the agent is busy: {self._rules.max_invocations:,} invocations are under way; try again"
                raise Refusal(429, why, headers=dict(RETRY_AFTER))
            body = await request.read(self._rules.max_body_bytes)
            payload = self._payload(body, invocation)
            lines.debug("Processing invocation request", invocation=invocation)
            response = await self._debug(payload, invocation)
            if response is None:
                outcome = await self._call(request, body, payload, invocation, span)
                error = outcome.error
                response = await self._tell(outcome, request, invocation, span)
        except Refusal as refusal:
            response = refusal_response(refusal)
        span.set_status(response.status, error)
        await records.heard(HEARD_WAIT)
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
            return self._failure(error, time.monotonic() - began, invocation)
        if response is not None:
            lines.write("INFO", f"Debug action completed ({time.monotonic() - began:.3f}s)", invocation=invocation)
        return response

    def _payload(self, body: bytes, invocation: Invocation) -> object:
        began = time.monotonic()
        try:
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

    async def _call(
        self, request: Request, body: bytes, payload: object, invocation: Invocation, span: InvocationSpan
    ) -> _Outcome:
        """Run the handler, if there is one and its tasks can be kept."""
        handler = self._agent.entrypoint_handler
        if handler is None:
            lines.write("ERROR", "No entrypoint defined", invocation=invocation)
            raise Refusal(500, "No entrypoint defined")
        if self._entrypoint is None or self._entrypoint.handler is not handler:
            self._entrypoint = Entrypoint.of(handler)
        try:
            self._durability.available()
        except TaskManagerUnavailable as error:
            raise Refusal(503, error.message, headers=dict(RETRY_AFTER), code=str(error.code)) from None
        context = copy_context()
        context.run(_bind, invocation, span)
        shown = None
        if self._entrypoint.takes_context:
            request.body = body  # the handler may read it again
            shown = self._context(request, invocation)
        lines.debug("Invoking handler: %s", _name_of(handler), invocation=invocation)
        try:
            return await self._entrypoints.run(self._entrypoint, payload, shown, context)
        except CallPoolFull as error:
            raise Refusal(429, f"the agent is busy: {error}; try again", headers=dict(RETRY_AFTER)) from None

    def _context(self, request: Request, invocation: Invocation) -> object:
        """Return what the handler gets as ``context``; one that says nothing where it cannot be made."""
        try:
            return self._agent.make_context(invocation.session_id or None, invocation.request_headers, request)
        except Exception as error:
            why = f"{type(error).__name__}: {message_of(error)}"
            lines.write("WARNING", f"Failed to build request context: {why}", invocation=invocation)
            return self._agent.make_context(None, None, None)

    async def _tell(
        self, outcome: _Outcome, request: Request, invocation: Invocation, span: InvocationSpan
    ) -> Response:
        """Return the answer to an outcome, once the tasks it may speak of are durable."""
        if outcome.stream is not None:
            response = await self._stream(outcome, outcome.stream, invocation, span)
        else:
            try:
                await self._acknowledged(outcome.watermark)
                value = self._value(outcome, invocation)
                response = value if isinstance(value, Response) else await self._respond(value, request, span)
            except TimeoutError:
                response = self._not_durable(outcome, invocation)
        response.headers.update(_task_headers(invocation))
        return response

    def _value(self, outcome: _Outcome, invocation: Invocation) -> Response | AsgiResponse:
        if outcome.error is not None:
            if isinstance(outcome.error, Exception):
                name = _name_of(self._agent.entrypoint_handler)
                lines.debug("Handler '%s' execution failed", name, invocation=invocation)
            return self._failure(outcome.error, outcome.seconds, invocation)
        assert outcome.value is not None
        if outcome.value.status >= 400:
            message = f"Invocation returned HTTP {outcome.value.status} ({outcome.seconds:.3f}s)"
            lines.write("WARNING", message, invocation=invocation)
        else:
            lines.invocation_completed(outcome.seconds, invocation)
        return outcome.value

    async def _respond(self, response: AsgiResponse, request: Request, span: InvocationSpan) -> Response:
        """Have the handler's own response send itself. Raises TimeoutError when its start may not be told."""
        return await self._asgi_calls.call(
            response.app,
            request.scope,
            response.context,
            acknowledged=self._acknowledged,
            first_wait=FIRST_ITEM_WAIT,
            on_return=functools.partial(self._end, span),
        )

    async def _acknowledged(self, watermark: int) -> None:
        await self._durability.acknowledged(watermark, self._rules.ack_timeout)

    def _failure(self, error: BaseException, seconds: float, invocation: Invocation) -> Response:
        if http_error := http_error_of(error):
            status, detail = http_error
            level: Level = "ERROR" if status >= 500 else "WARNING"
            lines.write(level, f"HTTP {status} ({seconds:.3f}s): {text_of(detail)}", invocation=invocation)
            return http_error_response(status, detail)
        lines.write("ERROR", f"Invocation failed ({seconds:.3f}s)", invocation=invocation, error=error)
        if self._rules.error_detail:
            return json_response({"error": message_of(error)}, 500)
        return json_response(internal_error(invocation.request_id), 500)

    async def _stream(
        self, outcome: _Outcome, items: ItemStream, invocation: Invocation, span: InvocationSpan
    ) -> Response:
        kind = "async" if outcome.asynchronous else "sync"
        generator = "async generator" if outcome.asynchronous else "generator"
        message = f"Returning streaming response ({generator}) ({outcome.seconds:.3f}s)"
        lines.write("INFO", message, invocation=invocation)

        async def failed(error: BaseException) -> dict[str, object]:
            lines.write("ERROR", f"Error in {kind} streaming", invocation=invocation, error=error)
            await records.heard(HEARD_WAIT)
            if self._rules.error_detail:
                return {"error": message_of(error), "error_type": type(error).__name__}
            return {"error_type": "InternalError"} | internal_error(invocation.request_id)

        body = InvocationStream(
            items,
            self._durability,
            ack_timeout=self._rules.ack_timeout,
            keepalive=self._rules.keepalive,
            on_error=failed,
            on_close=lambda: self._end(span),
        )
        try:
            await body.begin(FIRST_ITEM_WAIT)
        except TimeoutError:
            items.close()
            return self._not_durable(outcome, invocation)
        except BaseException:
            items.close()
            raise
        return Response(200, body, EVENT_STREAM)

    def _not_durable(self, outcome: _Outcome, invocation: Invocation) -> Response:
        lines.write("WARNING", f"Invocation returned HTTP 424 ({outcome.seconds:.3f}s)", invocation=invocation)
        # 424 and not 503: the handler has run, and no client sends a request again for a 424.
        return json_response(
            {
                "error": "the handler ran, but the task manager has not confirmed what it started within "
                f"{self._rules.ack_timeout:g} s; the tasks run and will be recorded",
                "code": "UNAVAILABLE",
                "taskIds": [str(task_id) for task_id in invocation.task_ids],
                "requestId": invocation.request_id,
            },
            424,
        )


def _bind(invocation: Invocation, span: InvocationSpan) -> None:
    """In the handler's own context: say what it runs for."""
    current_invocation.set(invocation)
    span.make_current()


def _name_of(handler: object) -> str:
    return getattr(handler, "__name__", "unknown")


def _task_headers(invocation: Invocation) -> dict[str, str]:
    task_ids = invocation.task_ids[:]
    if not task_ids:
        return {}
    headers = {TASK_IDS: ",".join(map(str, task_ids[:MAX_IDS_IN_HEADER]))}
    if len(task_ids) > MAX_IDS_IN_HEADER:
        headers[TASK_COUNT] = str(len(task_ids))
    return headers
