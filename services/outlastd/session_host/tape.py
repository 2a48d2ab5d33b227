"""One answer, recorded as it comes, and given from its start to everybody who asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

from aiohttp import hdrs

from outlast.telemetry.log import get_logger
from outlastd.front_door.response import Chunks, Response
from outlastd.session_host.api_error import ApiError, conflict, internal
from outlastd.session_host.scratch import Disk, DiskFull, Scratch

#: Bytes of an answer in memory; more are on the disk.
MEMORY = 64 * 1024
_TOO_LARGE = "The answer to this invocation is too large to give twice"
_UNREAD = "The answer to this invocation was broken off because nobody read it"

Run = Callable[[], Awaitable[Response]]


class Tape:
    """An answer, from before it is there. Made, recorded and read on the services' loop.

    What fits is recorded at the run's own speed, and can be read from the start at any time. Once an answer is too
    large for that, each further chunk waits for the slowest of those who read it at that moment.
    """

    def __init__(self, disk: Disk, max_bytes: int, linger: float) -> None:
        """``linger`` is how many seconds nobody may read a body before it is broken off."""
        self._scratch = Scratch(MEMORY, disk)
        self._max_bytes = max_bytes
        self._linger = linger
        #: The answer without its body, or why there is none.
        self._head: Response | None = None
        self._failure: Exception | None = None
        #: Why it cannot be read from the start any more.
        self._lost = ""
        #: How much of the body was recorded, has come, and will have come, where that is known.
        self._recorded = self._size = 0
        self._length: int | None = None
        #: The newest chunk of a body that is too large.
        self._live = b""
        #: Why the body breaks off.
        self._broken = ""
        self._ended = False
        self._readers: set[Reader] = set()
        #: Until when somebody has to read.
        self._deadline: asyncio.Timeout | None = None
        #: Set, and replaced, when any of this has changed.
        self._change = asyncio.Event()
        self._discarded = False

    @property
    def in_memory(self) -> int:
        """How many bytes of the answer are in memory."""
        return self._scratch.in_memory

    @property
    def worth_keeping(self) -> bool:
        """Whether the agent has seen the request, so that it must not run again."""
        return self._failure is None or (isinstance(self._failure, ApiError) and self._failure.ran)

    async def record(self, run: Run) -> None:
        """Record what ``run`` returns or raises, and all of its body."""
        try:
            response = await run()
        except Exception as error:
            if not self._readers and not isinstance(error, ApiError):
                get_logger().error("an invocation failed", error=error)
            self._fail(error)
        except asyncio.CancelledError:
            self._fail(internal())
            raise
        else:
            self._head = Response(response.status, b"", response.content_type, response.headers)
            await self._record_body(response.body)

    async def answer(self) -> Response:
        """Return the answer once it begins; its body is there in one piece when it is small and has ended.

        Raises:
            ApiError: the run was answered so, or the answer cannot be given any more.
            Exception: what the run raised.
        """
        if self._lost:
            raise conflict(self._lost)
        reader = Reader(self)
        self._readers.add(reader)
        self._mind_readers()
        try:
            while self._head is None and self._failure is None:
                await self._change.wait()
            if self._failure is not None:
                raise _again(self._failure)
            assert self._head is not None
            response = Response(self._head.status, reader, self._head.content_type, self._head.headers)
            if self._length is not None and self._length <= MEMORY and self._ended:
                response.body = await self._scratch.read(0)
                self.leave(reader)
            elif self._length is not None:
                response.headers[hdrs.CONTENT_LENGTH] = str(self._length)
            return response
        except BaseException:
            self.leave(reader)
            raise

    async def read(self, start: int) -> bytes:
        """Return some of the body from ``start`` on, once it is there; nothing at its end.

        Raises:
            ConnectionResetError: it breaks off.
        """
        while True:
            if start < self._recorded:
                return await self._scratch.read(start)
            if start < self._size:
                return self._live
            if self._broken:
                raise ConnectionResetError(self._broken)
            if self._ended:
                return b""
            await self._change.wait()

    def taken(self) -> None:
        """Take note that a reader has gone on, or has left."""
        if self._live:
            self._tell()

    def leave(self, reader: Reader) -> None:
        """Forget a reader."""
        self._readers.discard(reader)
        self._mind_readers()
        self.taken()
        self._let_go()

    def discard(self) -> None:
        """Let go of everything, once nobody reads it any more."""
        self._discarded = True
        self._let_go()

    async def _record_body(self, body: bytes | Chunks) -> None:
        try:
            async with asyncio.timeout(None) as self._deadline:
                self._mind_readers()
                if isinstance(body, bytes):
                    self._length = len(body)
                    await self._add(body)
                else:
                    async for chunk in body:
                        await self._add(chunk)
            self._length = self._size
        except Exception as error:
            if self._deadline is not None and self._deadline.expired():
                self._lost = _UNREAD
            elif not isinstance(error, ConnectionError):
                get_logger().error("an answer broke off", error=error)
            self._broken = str(error) or "the answer breaks off"
        except asyncio.CancelledError:
            self._broken = "the host stops"
            raise
        finally:
            self._deadline = None
            self._ended = True
            self._tell()
            self._let_go()
            if not isinstance(body, bytes):
                await body.aclose()

    async def _add(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if not self._lost and self._size <= self._max_bytes:
            self._recorded = self._size
            self._scratch.add(chunk)
            self._tell()
            try:
                await self._scratch.settle()
            except DiskFull:
                self._lost = _TOO_LARGE
            return
        self._lost = _TOO_LARGE
        self._live = chunk
        self._tell()
        while any(reader.position < self._size for reader in self._readers):
            await self._change.wait()
        self._scratch.close()
        if not self._readers:
            raise ConnectionResetError("nobody reads")

    def _fail(self, error: Exception) -> None:
        self._failure = _again(error)
        self._ended = True
        self._tell()

    def _tell(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    def _mind_readers(self) -> None:
        if self._deadline is not None and not self._deadline.expired():
            now = asyncio.get_running_loop().time()
            self._deadline.reschedule(None if self._readers else now + self._linger)

    def _let_go(self) -> None:
        if self._ended and not self._readers and (self._lost or self._discarded):
            self._scratch.close()


class Reader:
    """The body of an answer, for one client."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        #: How many bytes it has been given.
        self.position = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._tape.read(self.position)
        if not piece:
            raise StopAsyncIteration
        self.position += len(piece)
        self._tape.taken()
        return piece

    async def aclose(self) -> None:
        """Read no more."""
        self._tape.leave(self)


def _again(error: Exception) -> Exception:
    """Return an error to raise; one that is kept must not keep, by its traceback, what all who were told were at."""
    if isinstance(error, ApiError):
        return ApiError(error.status, error.kind, error.message, headers=error.headers, ran=error.ran)
    return error
