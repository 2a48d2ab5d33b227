"""A front whose requests are measured while metrics are on, by OpenTelemetry's names.

https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#http-server
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Self

from outlast.telemetry.metrics import metering
from outlast.telemetry.metrics.buckets import CALL_SECONDS
from outlast.telemetry.metrics.cardinality import ERROR_TYPE
from outlastd.front_door.asgi_types import Receive, Send
from outlastd.front_door.door import Front
from outlastd.front_door.request import Request
from outlastd.front_door.response import Chunks, Response

if TYPE_CHECKING:
    from opentelemetry.metrics import Observation

#: The methods that are named; any other word may come as one too.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})

#: Returns the pattern of the path that a request is answered at; empty where there is none.
RouteOf = Callable[[Request], str]


def measured(front: Front, route_of: RouteOf) -> Front:
    """Return a front that measures what it passes on; while metrics are off, the front itself."""
    active = metering.active()
    return front if active is None else Measured(front, active, route_of)


class Measured:
    """Measures each request, a stream up to its end; of WebSocket connections it only counts those that are open.

    On the services' loop. Those under way are added up here, and read by whoever collects: to have OpenTelemetry count
    them up and down would cost a request as much again as its duration does.
    """

    def __init__(self, front: Front, active: metering.Metering, route_of: RouteOf) -> None:
        self._front = front
        self._route_of = route_of
        #: By method, scheme and route: all there have been. Replaced as a whole when one is new, and never changed,
        #: since others go through it.
        self._kinds: dict[tuple[str, str, str], _Kind] = {}
        self._durations = active.meter.create_histogram(
            "http.server.request.duration",
            unit="s",
            description="Duration of HTTP server requests",
            explicit_bucket_boundaries_advisory=CALL_SECONDS,
        )
        read = weakref.WeakMethod(self._under_way)  # a server that has ended is not kept for this
        active.observed.sum(
            "http.server.active_requests",
            lambda: found() if (found := read()) is not None else (),
            unit="{request}",
            description="Number of active HTTP server requests",
        )

    async def handle(self, request: Request) -> Response:
        """Return the answer to a request; see Door."""
        kind, began = self._kind_of(request), time.perf_counter()
        kind.under_way += 1
        try:
            response = await self._front.handle(request)
        except BaseException as error:
            self._ended(kind, began, error=type(error).__name__)
            raise
        if isinstance(response.body, bytes):
            self._ended(kind, began, response.status)
        else:
            status = response.status
            response.body = _Body(response.body, lambda error: self._ended(kind, began, status, error))
        return response

    async def websocket(self, request: Request, receive: Receive, send: Send) -> None:
        """Serve a WebSocket connection; see Door."""
        kind = self._kind_of(request)
        kind.under_way += 1
        try:
            await self._front.websocket(request, receive, send)
        finally:
            kind.under_way -= 1

    def _kind_of(self, request: Request) -> _Kind:
        key = (request.method if request.method in _METHODS else "_OTHER", request.scheme, self._route_of(request))
        kind = self._kinds.get(key)
        if kind is None:
            kind = _Kind(*key)
            self._kinds = {**self._kinds, key: kind}
        return kind

    def _ended(self, kind: _Kind, began: float, status: int = 0, error: str = "") -> None:
        kind.under_way -= 1
        attributes = dict(kind.attributes)
        if status:
            attributes["http.response.status_code"] = status
        if error or status >= 500:
            attributes[ERROR_TYPE] = error or str(status)
        self._durations.record(time.perf_counter() - began, attributes)

    def _under_way(self) -> Iterable[Observation]:
        """Return what is under way; on the thread of whoever collects."""
        from opentelemetry.metrics import Observation

        return [Observation(kind.under_way, kind.attributes) for kind in self._kinds.values()]


class _Kind:
    """Requests that are alike."""

    __slots__ = ("attributes", "under_way")

    def __init__(self, method: str, scheme: str, route: str) -> None:
        self.attributes: dict[str, str | int] = {"http.request.method": method, "url.scheme": scheme}
        if route:
            self.attributes["http.route"] = route
        self.under_way = 0


class _Body:
    """A body that comes piece by piece: its request ends with it."""

    def __init__(self, body: Chunks, ended: Callable[[str], None]) -> None:
        """``ended`` is called once, with the class of the error that it broke off with, if any."""
        self._body = body
        self._ended: Callable[[str], None] | None = ended
        self._error = ""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._body)
        except StopAsyncIteration:
            raise
        except BaseException as error:
            self._error = type(error).__name__
            raise

    async def aclose(self) -> None:
        """Close the body."""
        try:
            await self._body.aclose()
        finally:
            ended, self._ended = self._ended, None
            if ended is not None:
                ended(self._error)
