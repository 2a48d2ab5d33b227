"""``POST /invocations``: calls the agent's handler and answers as the contract has it (section 1.3)."""

from __future__ import annotations

import asyncio
import json
import time
from contextvars import copy_context
from dataclasses import dataclass

from outlast.context import Invocation, current_invocation
from outlast.core.errors import TaskManagerUnavailable
from outlast.headers import TASK_COUNT, TASK_IDS
from outlast.ping import PingBoard
from outlast.tasks.call_pool import CallPoolFull
from outlast.tasks.entrypoints import Entrypoints, Outcome
from outlast.tasks.handler import Entrypoint
from outlast.tasks.item_stream import ItemStream
from outlast.telemetry import lines
from outlast.telemetry.log import Level
from outlast.telemetry.tracing import InvocationSpan, invocation_span
from outlastd.front_door.agent import Agent
from outlastd.front_door.call_context import credentials_of, headers_of, request_id_of, session_id_of
from outlastd.front_door.debug_actions import DebugActions
from outlastd.front_door.durability import Durability
from outlastd.front_door.invocation_stream import InvocationStream
from outlastd.front_door.rendering import http_error_of, message_of
from outlastd.front_door.request import Refusal, Request
from outlastd.front_door.response import EVENT_STREAM, RETRY_AFTER, Response, json_response, refusal_response
from outlastd.front_door.sse import KEEPALIVE_SECONDS

#: Seconds that a stream's headers wait for its first item, so that they can name the tasks started before it.
FIRST_ITEM_WAIT = 0.5
#: Task ids at the most in the answer's header: common clients refuse a header over 8 KiB.
MAX_IDS_IN_HEADER = 350


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
        entrypoints: Entrypoints[Response],
        ping: PingBoard,
        durability: Durability,
        rules: InvocationRules,
        debug_actions: DebugActions,
    ) -> None:
        self._agent = agent
        self._entrypoints = entrypoints
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
        request_id, session_id = request_id_of(request), session_id_of(request)
        span = invocation_span(request.headers, session_id=session_id, request_id=request_id)
        invocation = Invocation(
            request_id, session_id, span.trace_context, credentials_of(request), headers_of(request)
        )
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
            response = await self._debug_actions.run(payload, invocation)
            if response is None:
                outcome = await self._call(request, body, payload, invocation, span)
                error = outcome.error
                response = await self._tell(outcome, invocation, span)
        except Refusal as refusal:
            response = refusal_response(refusal)
        span.set_status(response.status, error)
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
    ) -> Outcome[Response]:
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
            shown = self._agent.make_context(invocation.session_id or None, invocation.request_headers, request)
        try:
            return await self._entrypoints.run(self._entrypoint, payload, shown, context)
        except CallPoolFull as error:
            raise Refusal(429, f"the agent is busy: {error}; try again", headers=dict(RETRY_AFTER)) from None

    async def _tell(self, outcome: Outcome[Response], invocation: Invocation, span: InvocationSpan) -> Response:
        """Return the answer to an outcome, once the tasks it may speak of are durable."""
        if outcome.stream is not None:
            response = await self._stream(outcome, outcome.stream, invocation, span)
        else:
            try:
                await self._durability.acknowledged(outcome.watermark, self._rules.ack_timeout)
            except TimeoutError:
                response = self._not_durable(outcome, invocation)
            else:
                response = self._value(outcome, invocation)
        response.headers.update(_task_headers(invocation))
        return response

    def _value(self, outcome: Outcome[Response], invocation: Invocation) -> Response:
        if outcome.error is not None:
            return self._failure(outcome.error, outcome.seconds, invocation)
        assert outcome.value is not None
        if outcome.value.status >= 400:
            message = f"Invocation returned HTTP {outcome.value.status} ({outcome.seconds:.3f}s)"
            lines.write("WARNING", message, invocation=invocation)
        else:
            lines.invocation_completed(outcome.seconds, invocation)
        return outcome.value

    def _failure(self, error: BaseException, seconds: float, invocation: Invocation) -> Response:
        if http_error := http_error_of(error):
            status, detail = http_error
            level: Level = "ERROR" if status >= 500 else "WARNING"
            lines.write(level, f"HTTP {status} ({seconds:.3f}s): {detail}", invocation=invocation)
            return json_response({"error": detail}, status)
        lines.write("ERROR", f"Invocation failed ({seconds:.3f}s)", invocation=invocation, error=error)
        if self._rules.error_detail:
            return json_response({"error": message_of(error)}, 500)
        return json_response({"error": "Internal error", "requestId": invocation.request_id}, 500)

    async def _stream(
        self, outcome: Outcome[Response], items: ItemStream, invocation: Invocation, span: InvocationSpan
    ) -> Response:
        kind = "async" if outcome.asynchronous else "sync"
        generator = "async generator" if outcome.asynchronous else "generator"
        message = f"Returning streaming response ({generator}) ({outcome.seconds:.3f}s)"
        lines.write("INFO", message, invocation=invocation)

        def failed(error: BaseException) -> dict[str, object]:
            lines.write("ERROR", f"Error in {kind} streaming", invocation=invocation, error=error)
            if self._rules.error_detail:
                return {"error": message_of(error), "error_type": type(error).__name__}
            return {"error": "Internal error", "error_type": "InternalError", "requestId": invocation.request_id}

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
        return Response(200, body, EVENT_STREAM, {"Cache-Control": "no-cache"})

    def _not_durable(self, outcome: Outcome[Response], invocation: Invocation) -> Response:
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


def _task_headers(invocation: Invocation) -> dict[str, str]:
    task_ids = invocation.task_ids[:]
    if not task_ids:
        return {}
    headers = {TASK_IDS: ",".join(map(str, task_ids[:MAX_IDS_IN_HEADER]))}
    if len(task_ids) > MAX_IDS_IN_HEADER:
        headers[TASK_COUNT] = str(len(task_ids))
    return headers
