"""The body of an agent's answer, passed on as it comes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self

from aiohttp import ClientError, ClientResponse, StreamReader

from outlastd.front_door.response import EVENT_STREAM
from outlastd.front_door.sse import KEEPALIVE, KEEPALIVE_SECONDS, sse_event
from outlastd.session_host.asking import LAST_WORDS, why_broken

_BROKEN = "The agent broke its answer off"


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent of an answer: for how many seconds, how many bytes, and how many of them at a time."""

    seconds: float
    size: int
    largest_chunk: int
    streamed: bool


Tell = Callable[[Sent], object]


class BrokenOff(ConnectionError):
    """An answer that has begun does not come to its end."""


class Relay:
    """Passes on the body of an answer, and asks the agent for more when there is room for it.

    Server-sent events get a comment when there are none for a while, and a last event when the agent breaks off.
    """

    def __init__(
        self,
        answer: ClientResponse,
        ended: asyncio.Future[str],
        stay: AsyncExitStack,
        tell: Tell,
        *,
        keepalive: float = KEEPALIVE_SECONDS,
    ) -> None:
        """``ended`` comes when the session ends, and is ours to cancel; ``stay`` is left when the body is closed."""
        self._answer = answer
        self._ended = ended
        self._stay = stay
        self._tell = tell
        self._keepalive = keepalive
        self._is_events = answer.content_type == EVENT_STREAM.partition(";")[0]
        #: Whether what has been sent ends with a line: there a comment may stand.
        self._at_line = True
        self._failure: BrokenOff | None = None
        self._began = time.monotonic()
        self._size = self._largest = 0
        self._cut: asyncio.TimerHandle | None = None
        ended.add_done_callback(self._cut_off)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._failure is None:
            try:
                async with asyncio.timeout(self._keepalive if self._is_events and self._at_line else None):
                    piece = await self._answer.content.readany()
            except TimeoutError:
                return KEEPALIVE
            except (ClientError, OSError):
                self._failure = BrokenOff(await why_broken(self._ended, _BROKEN))
                piece = _left_of(self._answer.content)
            if piece:
                return self._counted(piece)
            if self._failure is None:
                raise StopAsyncIteration
        if self._is_events:
            self._is_events = False
            return self._last_event()
        raise self._failure

    async def aclose(self) -> None:
        """Let go of the agent's answer; one that is not at its end is broken off, and the agent hears of it."""
        self._ended.cancel()
        if self._cut is not None:
            self._cut.cancel()
        await self._stay.aclose()
        self._tell(Sent(time.monotonic() - self._began, self._size, self._largest, streamed=True))

    def _counted(self, piece: bytes) -> bytes:
        self._size += len(piece)
        self._largest = max(self._largest, len(piece))
        self._at_line = piece.endswith((b"\n", b"\r"))
        return piece

    def _cut_off(self, ended: asyncio.Future[str]) -> None:
        """Break off what has not come to its end, a while after the session has."""
        if not ended.cancelled():
            self._cut = asyncio.get_running_loop().call_later(LAST_WORDS, self._answer.close)

    def _last_event(self) -> bytes:
        """Return what the contract has for an exception within a stream (section 1.3)."""
        told = {
            "error": str(self._failure),
            "error_type": "RuntimeClientError",
            "message": "An error occurred during streaming",
        }
        # An event that was broken off would swallow it.
        return (b"" if self._at_line else b"\n") + b"\n" + sse_event(json.dumps(told))


def _left_of(content: StreamReader) -> bytes:
    """Return what had come before the connection broke, which whoever just reads is not given any more."""
    content.set_exception(None)  # type: ignore[arg-type]  # as it is before anything goes wrong
    return content.read_nowait()
