"""The original's underscore names, where one of outlast's own parts is what they speak of.

Programs and their tests reach for some of them: ``app._active_tasks`` in a custom ping handler, ``app._ping_handler``
in a test. Each says what is true here, in a few lines; names of machinery that outlast does not have are not offered.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextvars import copy_context
from functools import cached_property
from typing import TYPE_CHECKING, Any

from outlast.baggage import HEADER as BAGGAGE
from outlast.baggage import parse_baggage
from outlast.compat import direct_call
from outlast.compat.active_tasks import ActiveTasks
from outlast.compat.request_context import RequestContext
from outlast.context import Invocation, current_invocation
from outlast.core.validation import MAX_ID, check_text
from outlast.headers import REQUEST_ID, SESSION_ID, credentials, forwarded_headers
from outlast.payload import to_json_text
from outlast.ping import PingReport, PingStatus
from outlast.tasks.call_pool import CallPool
from outlast.tasks.entrypoints import Entrypoints
from outlast.tasks.handler import Entrypoint, kind_of, takes_context
from outlast.tasks.item_stream import End, ItemStream
from outlast.telemetry import lines

if TYPE_CHECKING:
    from outlast.app import App
    from outlast.compat.config_bundles import ConfigBundles

    class _Host(App):
        """What the names are mixed into."""

        config_bundles: ConfigBundles
else:
    _Host = object

#: Seconds between two looks at a stream that yields nothing.
_STREAM_PATIENCE = 60.0


class Internals(_Host):
    """What the original's app keeps under underscore names."""

    @cached_property
    def _tasks_by_key(self) -> ActiveTasks:
        return ActiveTasks(self.runtime)

    @property
    def _active_tasks(self) -> ActiveTasks:
        return self._tasks_by_key

    @_active_tasks.setter
    def _active_tasks(self, tasks: Mapping[int, dict[str, Any]]) -> None:
        self._tasks_by_key.clear()
        self._tasks_by_key.update(tasks)

    @property
    def _ping_handler(self) -> Callable[[], Any] | None:
        return self.status.custom

    @_ping_handler.setter
    def _ping_handler(self, function: Callable[[], Any] | None) -> None:
        self.status.custom = function

    @property
    def _websocket_handler(self) -> Callable[..., Any] | None:
        return self.websocket_handler

    @_websocket_handler.setter
    def _websocket_handler(self, function: Callable[..., Any] | None) -> None:
        self.websocket_handler = function

    @property
    def _forced_ping_status(self) -> PingStatus | None:
        return self.status.forced

    @_forced_ping_status.setter
    def _forced_ping_status(self, status: PingStatus | None) -> None:
        self.status.force(status)

    @property
    def _last_status_update_time(self) -> float:
        return self.status.changed_at

    @property
    def _worker_loop(self) -> asyncio.AbstractEventLoop | None:
        loop_thread = self.runtime.agent_loop
        return loop_thread.loop if loop_thread.started else None

    def _ensure_worker_loop(self) -> asyncio.AbstractEventLoop:
        return self.runtime.agent_loop.loop

    def _resolve_bundle_config(self, ref: Any) -> dict[str, Any]:
        return self.config_bundles.resolve(ref)

    def _build_request_context(self, request: Any) -> RequestContext:
        """Run for a request of Starlette's from here on, as a route of the program's own may want to."""
        try:
            headers = request.headers
            invocation = Invocation(
                check_text(REQUEST_ID, headers.get(REQUEST_ID) or str(uuid.uuid4()), MAX_ID),
                check_text(SESSION_ID, headers.get(SESSION_ID) or "", MAX_ID),
                credentials=credentials(headers),
                request_headers=forwarded_headers(headers.items()),
                baggage=parse_baggage(value for name, value in headers.items() if name.lower() == BAGGAGE),
            )
        except Exception as error:  # the request is the program's own value
            lines.write("WARNING", f"Failed to build request context: {type(error).__name__}: {error}")
            current_invocation.set(Invocation(str(uuid.uuid4())))
            return RequestContext()
        current_invocation.set(invocation)
        return RequestContext(
            session_id=invocation.session_id or None, request_headers=invocation.request_headers, request=request
        )

    async def _handle_invocation(self, request: Any) -> Any:
        return await direct_call.invoke(self, request)

    def _handle_ping(self, request: Any) -> Any:
        from starlette.responses import JSONResponse

        try:
            report = PingReport(self.get_current_ping_status(), self.status.time_of_last_update)
        except Exception as error:  # a subclass may have a method of its own
            lines.write("ERROR", "Ping endpoint failed", error=error)
            report = PingReport(PingStatus.HEALTHY, int(time.time()))
        return JSONResponse(report.as_json())

    def _takes_context(self, handler: Callable[..., Any]) -> bool:
        return takes_context(handler)

    def _safe_serialize_to_json_string(self, obj: Any) -> str:
        return to_json_text(obj, self._serialization_failed)

    def _serialization_failed(self, error: Exception) -> None:
        # By the app's logger itself, which tests watch; an invocation's own line is that of telemetry.lines.
        self.logger.warning("Failed to serialize object: %s: %s", type(error).__name__, error)

    def _convert_to_sse(self, obj: Any) -> bytes:
        return f"data: {self._safe_serialize_to_json_string(obj)}\n\n".encode("utf-8", "backslashreplace")

    @cached_property
    def _own_pool(self) -> CallPool:
        return CallPool()

    async def _invoke_handler(
        self, handler: Callable[..., Any], context: Any, takes_context: bool, payload: Any
    ) -> Any:
        """Run a handler as an invocation does, and return or raise what it does; a generator's items one by one."""
        entrypoint = Entrypoint(handler, kind_of(handler), takes_context)
        entrypoints = Entrypoints(self.runtime.ledger, self.runtime.agent_loop, self._own_pool, _AsItIs())
        outcome = await entrypoints.run(entrypoint, payload, lambda: context, copy_context())
        if outcome.error is not None:
            raise outcome.error
        return outcome.value if outcome.stream is None else _items_of(outcome.stream)


class _AsItIs:
    """Renders nothing."""

    def value(self, value: object) -> Any:
        """Return the value."""
        return value

    def item(self, item: object) -> Any:
        """Return the item."""
        return item

    def error(self, error: BaseException) -> BaseException:
        """Return the exception."""
        return error


async def _items_of(stream: ItemStream) -> AsyncIterator[Any]:
    try:
        while not isinstance(arrival := await stream.next(_STREAM_PATIENCE), End):
            if arrival is not None:
                yield arrival.data
        if arrival.error is not None:
            raise arrival.error
    finally:
        stream.close()
