"""Our responses as aiohttp's, with nothing added to what they say but what the connection needs."""

from __future__ import annotations

from typing import TypeVar

from aiohttp import hdrs

from outlastd.front_door import aiohttp_web as web
from outlastd.front_door.response import Response

Made = TypeVar("Made", bound=web.StreamResponse)


def whole_response(response: Response, *, head_only: bool = False) -> web.Response:
    """Return a response whose body is all there; ``head_only`` leaves the body out."""
    kind = _UntypedResponse if response.content_type is None else web.Response
    body = response.body if isinstance(response.body, bytes) and not head_only else None
    return _with_headers(kind(status=response.status, body=body), response)


def response_in_pieces(response: Response) -> web.StreamResponse:
    """Return a response whose body is to come."""
    kind = _UntypedStreamResponse if response.content_type is None else web.StreamResponse
    return _with_headers(kind(status=response.status), response)


def _with_headers(made: Made, response: Response) -> Made:
    headers = made.headers
    headers.extend(response.headers)
    headers.setdefault(hdrs.SERVER, "outlast")
    if response.content_type is not None:
        headers[hdrs.CONTENT_TYPE] = response.content_type
    if hdrs.CONNECTION in headers and "close" in ",".join(headers.popall(hdrs.CONNECTION)).lower():
        made.force_close()
    return made


class _UntypedResponse(web.Response):
    """Without a content type, where aiohttp would make one up."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall(hdrs.CONTENT_TYPE, None)


class _UntypedStreamResponse(web.StreamResponse):
    """The same, in pieces."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall(hdrs.CONTENT_TYPE, None)
