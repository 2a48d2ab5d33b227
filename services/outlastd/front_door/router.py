"""Which handler a path and a method belong to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias
from urllib.parse import quote

from outlastd.front_door.request import Request
from outlastd.front_door.response import Response, text_response

#: Called with the request and with what stands in the path where the pattern has ``{}``.
Handler: TypeAlias = Callable[..., Awaitable[Response]]
#: What stays as it is in the query of a place that is redirected to.
_IN_QUERIES = ":/%#?=@[]!$&'()*+,;"


class Router:
    """A table of paths. A segment ``{}`` of a pattern stands for any one segment."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[str, Handler]] = {}
        self._patterns: dict[tuple[str, ...], dict[str, Handler]] = {}

    def add(self, method: str, pattern: str, handler: Handler) -> None:
        """Have ``handler`` answer ``method`` on ``pattern``; GET answers HEAD too."""
        table: dict[str, Handler] = (
            self._patterns.setdefault(tuple(pattern.split("/")), {})
            if "{}" in pattern
            else self._exact.setdefault(pattern, {})
        )
        table[method] = handler
        if method == "GET":
            table["HEAD"] = handler

    def route_of(self, path: str) -> str:
        """Return the pattern that a path belongs to; empty for none."""
        if path in self._exact:
            return path
        segments = path.split("/")
        return next(("/".join(pattern) for pattern in self._patterns if _fits(pattern, segments)), "")

    async def dispatch(self, request: Request) -> Response:
        """Return the answer of the handler that the request belongs to; 404 and 405 where there is none."""
        segments: tuple[str, ...] = ()
        methods = self._exact.get(request.path)
        if methods is None:
            methods, segments = self._match(tuple(request.path.split("/")))
        if methods is None:
            return self._without_slashes(request) or text_response("Not Found", 404)
        handler = methods.get(request.method)
        if handler is None:
            return text_response("Method Not Allowed", 405, {"Allow": ", ".join(sorted(methods))})
        return await handler(request, *segments)

    def _without_slashes(self, request: Request) -> Response | None:
        """Return where to ask, as the original does, when all that is wrong with a path are slashes at its end."""
        path = request.path.rstrip("/")
        if path == request.path or path not in self._exact:
            return None
        host, query = request.headers.get("Host"), request.scope["query_string"]
        place = f"{request.scope['scheme']}://{host}{path}" if host else path
        if query:
            place += "?" + quote(query, safe=_IN_QUERIES)
        return Response(307, b"", None, {"Location": place})

    def _match(self, path: tuple[str, ...]) -> tuple[dict[str, Handler] | None, tuple[str, ...]]:
        for pattern, methods in self._patterns.items():
            if _fits(pattern, path):
                return methods, tuple(given for own, given in zip(pattern, path, strict=True) if own == "{}")
        return None, ()


def _fits(pattern: tuple[str, ...], path: Sequence[str]) -> bool:
    return len(pattern) == len(path) and all(own in ("{}", given) for own, given in zip(pattern, path, strict=True))
