"""Which handler a path, as it was sent, and a method belong to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from outlastd.front_door.response import Response
from outlastd.session_host.api_error import ApiError, not_found
from outlastd.session_host.arn import with_whole_arn

#: Called with the request and with the segments, still percent-encoded, that stand where the pattern has ``{}``.
Handler: TypeAlias = Callable[..., Awaitable[Response]]


class Routes:
    """A table of paths. A segment ``{}`` of a pattern stands for any one segment that is not empty."""

    def __init__(self) -> None:
        self._patterns: dict[tuple[str, ...], dict[str, Handler]] = {}

    def add(self, method: str, pattern: str, handler: Handler) -> None:
        """Have ``handler`` answer ``method`` on ``pattern``; GET answers HEAD too."""
        methods = self._patterns.setdefault(tuple(pattern.split("/")[1:]), {})
        methods[method] = handler
        if method == "GET":
            methods["HEAD"] = handler

    def find(self, method: str, raw_path: str) -> tuple[Handler, tuple[str, ...]]:
        """Return the handler, and the segments that it is to be called with.

        Raises:
            ApiError: there is nothing at this path (404), or nothing that this method could ask for (405).
        """
        path = with_whole_arn(raw_path.split("/")[1:])
        for pattern, methods in self._patterns.items():
            segments = _match(pattern, path)
            if segments is None:
                continue
            if method not in methods:
                allowed = {"Allow": ", ".join(sorted(methods))}
                raise ApiError(405, "ValidationException", "The path is not asked with this method", headers=allowed)
            return methods[method], segments
        raise not_found("There is nothing at this path; an agent is asked at /runtimes/AGENT/invocations")

    def route_of(self, raw_path: str) -> str:
        """Return the pattern that a path belongs to; empty for none."""
        try:
            path = with_whole_arn(raw_path.split("/")[1:])
        except ApiError:
            return ""
        return next(("/" + "/".join(pattern) for pattern in self._patterns if _match(pattern, path) is not None), "")


def _match(pattern: tuple[str, ...], path: list[str]) -> tuple[str, ...] | None:
    if len(pattern) != len(path):
        return None
    segments = []
    for own, given in zip(pattern, path, strict=True):
        if own == "{}" and given:
            segments.append(given)
        elif own != given:
            return None
    return tuple(segments)
