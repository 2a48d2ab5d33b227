"""HTTP to the process of one session."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from aiohttp import (
    ClientError,
    ClientPayloadError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    DummyCookieJar,
    TCPConnector,
    UnixConnector,
)
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader
from multidict import CIMultiDict
from yarl import URL

from outlast.headers import SECRET
from outlast.ping import PingStatus
from outlastd.front_door.aiohttp_server import MAX_HEADER, MAX_LINE

#: Bytes of an answer to a ping; more is no answer.
MAX_PING = 64 * 1024
#: Bytes of an answer that wait for whoever passes it on, beyond which the guest has to wait.
READ_AHEAD = 256 * 1024
#: Answers of 1xx that may come before the one that counts.
MAX_INTERIM = 16
#: Seconds that the end of a WebSocket may take which is left open.
CLOSE_TIMEOUT = 1.0

_STATUSES = {status.value.lower(): status for status in PingStatus}
#: What aiohttp would say of itself where the caller of a session says nothing.
_UNASKED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the process of a session answers: at a Unix socket, or at a port of this machine."""

    socket: Path | None = None
    port: int = 0
    #: What is shown there with every request (headers.SECRET).
    secret: str = ""


@dataclass(frozen=True, slots=True)
class PingAnswer:
    """What a guest says of itself (contract section 1.2)."""

    status: PingStatus
    #: The Unix second in which the status last changed; None where it says nothing that can be meant.
    time_of_last_update: int | None = None


class PingFailed(Exception):
    """A ping got no answer of the contract; the message says why, for people."""


class GuestClient:
    """Asks the process of one session. Made on the services' loop.

    Every request has a connection of its own: a guest may close an idle one at any moment, and an invocation that was
    just sent into it could not be repeated, as it may have been heard.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        connector: UnixConnector | TCPConnector
        if endpoint.socket is not None:
            self._base = "http://localhost"
            connector = UnixConnector(path=str(endpoint.socket), force_close=True, limit=0)
        else:
            self._base = f"http://127.0.0.1:{endpoint.port}"
            connector = TCPConnector(force_close=True, limit=0)
        connector._factory = partial(_Connection, loop=asyncio.get_running_loop())  # type: ignore[assignment]  # one of that kind
        self._secret = endpoint.secret
        self._session = ClientSession(
            connector=connector,
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            timeout=ClientTimeout(total=None, sock_connect=None),
            skip_auto_headers=_UNASKED,
            read_bufsize=READ_AHEAD,
            max_line_size=MAX_LINE,
            max_field_size=MAX_HEADER,
            trust_env=False,
        )

    async def ping(self, timeout: float) -> PingAnswer:
        """Ask for the status, for up to ``timeout`` seconds.

        Raises:
            PingFailed: there was no answer in time, or it is none of the contract's.
        """
        try:
            async with asyncio.timeout(timeout), self.request("GET", "/ping") as response:
                if response.status != 200:
                    raise PingFailed(f"the answer was HTTP {response.status}")
                body = await _read(response, MAX_PING)
        except TimeoutError:
            raise PingFailed(f"no answer within {timeout:g} s") from None
        except (ClientError, OSError, ValueError) as error:
            raise PingFailed(f"no answer: {type(error).__name__}") from error
        return _read_ping(body)

    @contextlib.asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        timeout: float | None = None,
    ) -> AsyncIterator[ClientResponse]:
        """Send a request; what is entered is the answer, whose head has come and whose body has not.

        ``path`` is sent as it is, with its query. ``data`` is bytes or an async iterator of them. Leaving before the
        end of the body breaks the connection off.

        Raises:
            TimeoutError: the head did not come within ``timeout`` seconds.
            aiohttp.ClientError: the guest cannot be reached, or has broken off.
        """
        async with asyncio.timeout(timeout):
            response = await self._session.request(
                method, self._url(path), headers=self._with_secret(headers), data=data, allow_redirects=False
            )
        async with response:
            yield response

    @contextlib.asynccontextmanager
    async def websocket(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        protocols: Sequence[str] = (),
        timeout: float | None = None,
        max_message: int = 16 * 1024 * 1024,
    ) -> AsyncIterator[ClientWebSocketResponse]:
        """Open a WebSocket; frames of every kind come through, pings and closing ones too.

        Raises:
            TimeoutError: it was not open within ``timeout`` seconds.
            aiohttp.WSServerHandshakeError: the guest refuses; its ``status`` says how.
            aiohttp.ClientError: the guest cannot be reached, or has broken off.
        """
        async with asyncio.timeout(timeout):
            socket = await self._session.ws_connect(
                self._url(path),
                headers=self._with_secret(headers),
                protocols=protocols,
                autoclose=False,
                autoping=False,
                max_msg_size=max_message,
            )
        try:
            yield socket
        finally:
            with contextlib.suppress(TimeoutError):  # a guest may never be done with what it sends instead of an answer
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await socket.close()

    async def close(self) -> None:
        """Break off whatever is still open."""
        await self._session.close()

    def _url(self, path: str) -> URL:
        return URL(self._base + path, encoded=True)

    def _with_secret(self, headers: Mapping[str, str] | None) -> CIMultiDict[str]:
        shown: CIMultiDict[str] = CIMultiDict(headers or {})
        shown[SECRET] = self._secret
        return shown


class _Connection(ResponseHandler):
    """A connection that breaks when a guest goes on and on without answering: it would keep the loop from all else."""

    _heads = 0

    async def read(self) -> tuple[RawResponseMessage, StreamReader]:
        """Return the next head that the guest sends, and what comes with it."""
        self._heads += 1
        if self._heads > MAX_INTERIM + 1:
            raise ClientPayloadError(f"the guest sends more than {MAX_INTERIM} answers of 1xx")
        return await super().read()


async def _read(response: ClientResponse, limit: int) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > limit:
            raise PingFailed(f"the answer has more than {limit:,} bytes")
    return bytes(body)


def _read_ping(body: bytes) -> PingAnswer:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise PingFailed("the answer is no JSON") from None
    word = said.get("status") if isinstance(said, dict) else None
    # Programs that were written after the documents' first examples say "healthy".
    status = _STATUSES.get(word.lower()) if isinstance(word, str) else None
    if status is None:
        raise PingFailed("the answer's status is neither Healthy nor HealthyBusy")
    changed = said.get("time_of_last_update")
    return PingAnswer(status, changed if type(changed) is int else None)
