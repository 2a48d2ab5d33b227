"""What the front door uses of aiohttp's server.

From the modules that define it: ``aiohttp.web`` loads applications, their routes, runners and files beside it, which
take as long to load as all of this and have no use here.
"""

from __future__ import annotations

from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse
from aiohttp.web_server import Server
from aiohttp.web_ws import WebSocketResponse

__all__ = ["BaseRequest", "RequestHandler", "Response", "Server", "StreamResponse", "WebSocketResponse"]
