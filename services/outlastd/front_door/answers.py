"""Makes the answer of what became of a call of the handler, once what it may speak of is durable (promise 1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from outlast.context import Invocation
from outlast.headers import TASK_COUNT, TASK_IDS, TRACE_URL
from outlast.tasks.entrypoints import Outcome
from outlast.tasks.item_stream import ItemStream
from outlast.telemetry import lines, records
from outlast.telemetry.log import Level
from outlast.telemetry.trace_link import trace_link
from outlastd.front_door.agent import Agent
from outlastd.front_door.asgi_call import AsgiCalls
from outlastd.front_door.durability import Durability
from outlastd.front_door.failure import Failure, HTTPFailure
from outlastd.front_door.invocation_stream import InvocationStream
from outlastd.front_door.rendering import AsgiResponse
from outlastd.front_door.request import Request
from outlastd.front_door.response import EVENT_STREAM, Response, internal_error, json_response
from outlastd.front_door.rules import InvocationRules

#: Seconds that a stream's headers wait for its first item, so that they can name the tasks started before it.
FIRST_ITEM_WAIT = 0.5
#: Seconds that an answer waits for log handlers of the program's own to hear what was said of it.
HEARD_WAIT = 0.2
#: Task ids at the most in the answer's header: common clients refuse a header over 8 KiB.
MAX_IDS_IN_HEADER = 350

#: How a call of the handler ended, as its renderer has it.
Ended: TypeAlias = Outcome[Response | AsgiResponse, Failure]


class Answers:
    """Makes answers, and says in the log how the invocation ended; on the services' loop."""

    def __init__(self, agent: Agent, durability: Durability, rules: InvocationRules, asgi_calls: AsgiCalls) -> None:
        self._agent = agent
        self._durability = durability
        self._rules = rules
        self._asgi_calls = asgi_calls

    async def answer(
        self, outcome: Ended, request: Request, invocation: Invocation, on_close: Callable[[], None]
    ) -> Response:
        """Return the answer to an outcome. One that comes in pieces calls ``on_close`` once it has been closed."""
        try:
            if outcome.stream is not None:
                response = await self._stream(outcome, outcome.stream, invocation, on_close)
            else:
                await self._durability.acknowledged(outcome.watermark, self._rules.ack_timeout)
                value = self._value(outcome, invocation)
                if isinstance(value, Response):
                    response = value
                else:
                    response = await self._asgi_calls.call(
                        value.app,
                        request.scope,
                        value.context,
                        acknowledged=self._acknowledged,
                        first_wait=FIRST_ITEM_WAIT,
                        on_return=on_close,
                    )
        except TimeoutError:
            response = self._not_durable(outcome, invocation)
        if invocation.task_ids:
            response.headers.update(_task_headers(invocation))
        if self._rules.trace_url and (link := trace_link(self._rules.trace_url, invocation.trace_context.traceparent)):
            response.headers[TRACE_URL] = link
        return response

    def failure(self, failure: Failure, seconds: float, invocation: Invocation) -> Response:
        """Return the answer to a call that failed after so many seconds."""
        if failure.http is not None and not (failure.http.invites_repeat and invocation.task_ids):
            return self._http_failure(failure.http, seconds, invocation)
        message = f"Invocation failed ({seconds:.3f}s)"
        lines.write("ERROR", message, invocation=invocation, error=failure.error, error_told=failure.fields)
        if self._rules.error_detail:
            return json_response({"error": failure.message}, 500)
        return json_response(internal_error(invocation.request_id), 500)

    def _http_failure(self, http: HTTPFailure, seconds: float, invocation: Invocation) -> Response:
        level: Level = "ERROR" if http.status >= 500 else "WARNING"
        lines.write(level, f"HTTP {http.status} ({seconds:.3f}s): {http.detail}", invocation=invocation)
        return http.response

    def _value(self, outcome: Ended, invocation: Invocation) -> Response | AsgiResponse:
        if outcome.error is not None:
            if isinstance(outcome.error.error, Exception):
                name = name_of(self._agent.entrypoint_handler)
                lines.debug("Handler '%s' execution failed", name, invocation=invocation)
            return self.failure(outcome.error, outcome.seconds, invocation)
        assert outcome.value is not None
        if outcome.value.status >= 400:
            message = f"Invocation returned HTTP {outcome.value.status} ({outcome.seconds:.3f}s)"
            lines.write("WARNING", message, invocation=invocation)
        else:
            lines.invocation_completed(outcome.seconds, invocation)
        return outcome.value

    async def _stream(
        self, outcome: Ended, items: ItemStream, invocation: Invocation, on_close: Callable[[], None]
    ) -> Response:
        kind = "async" if outcome.asynchronous else "sync"
        generator = "async generator" if outcome.asynchronous else "generator"
        message = f"Returning streaming response ({generator}) ({outcome.seconds:.3f}s)"
        lines.write("INFO", message, invocation=invocation)

        async def failed(failure: Failure) -> dict[str, object]:
            message = f"Error in {kind} streaming"
            lines.write("ERROR", message, invocation=invocation, error=failure.error, error_told=failure.fields)
            await records.heard(HEARD_WAIT)
            if self._rules.error_detail:
                return {"error": failure.message, "error_type": type(failure.error).__name__}
            return {"error_type": "InternalError"} | internal_error(invocation.request_id)

        body = InvocationStream(
            items,
            self._durability,
            ack_timeout=self._rules.ack_timeout,
            keepalive=self._rules.keepalive,
            on_error=failed,
            on_close=on_close,
        )
        try:
            await body.begin(FIRST_ITEM_WAIT)
        except BaseException:
            items.close()
            raise
        return Response(200, body, EVENT_STREAM)

    async def _acknowledged(self, watermark: int) -> None:
        await self._durability.acknowledged(watermark, self._rules.ack_timeout)

    def _not_durable(self, outcome: Ended, invocation: Invocation) -> Response:
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


def name_of(handler: object) -> str:
    """Return what the log calls a handler."""
    return getattr(handler, "__name__", "unknown")


def _task_headers(invocation: Invocation) -> dict[str, str]:
    task_ids = invocation.task_ids[:]
    headers = {TASK_IDS: ",".join(map(str, task_ids[:MAX_IDS_IN_HEADER]))}
    if len(task_ids) > MAX_IDS_IN_HEADER:
        headers[TASK_COUNT] = str(len(task_ids))
    return headers
