"""Bytes that are kept for a while: the newest in memory, the rest in a temporary file that has no name."""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from outlast.telemetry.log import get_logger

T = TypeVar("T")


class DiskFull(Exception):
    """There is no room on the disk or in what temporary files may have of it, or it cannot be written."""


class Disk:
    """The bytes that temporary files may have together."""

    def __init__(self, limit: int, make_room: Callable[[], bool] | None = None) -> None:
        """``make_room`` gives something back that is of no great use, and says whether there was anything."""
        self._limit = limit
        self._make_room = make_room
        self.used = 0

    def take(self, size: int) -> None:
        """Count ``size`` more bytes. Raises DiskFull."""
        while self.used + size > self._limit:
            if self._make_room is None or not self._make_room():
                raise DiskFull
        self.used += size

    def give_back(self, size: int) -> None:
        """Count ``size`` bytes less."""
        self.used -= size


class Scratch:
    """Takes bytes at its end and gives them back from anywhere. One at a time adds; any number read.

    No file work is done on the loop. Once a ``settle`` was broken off or has failed nothing more may be added, but all
    that was added can be read.
    """

    def __init__(self, memory: int, disk: Disk) -> None:
        """``memory`` bytes stay in memory before they are written in one piece; no read returns more."""
        self._memory = memory
        self._disk = disk
        self._file: io.FileIO | None = None
        self._on_disk = 0
        #: What the disk's count has of this.
        self._taken = 0
        #: What comes after that which is on the disk.
        self._buffer = bytearray()
        #: Calls in threads that may use the file: it is closed after them, for its number may then be another's.
        self._calls = 0
        self._closed = False
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """How many bytes were added."""
        return self._on_disk + len(self._buffer)

    @property
    def in_memory(self) -> int:
        """How many of them are in memory."""
        return len(self._buffer)

    def add(self, data: bytes) -> None:
        """Take bytes, which can be read at once; ``settle`` comes before the next."""
        self._buffer += data

    async def settle(self) -> None:
        """Write what is too much for memory.

        Raises:
            DiskFull: there is no room for it.
        """
        if len(self._buffer) < self._memory:
            return
        written = self._buffer
        self._disk.take(len(written))
        self._taken += len(written)
        try:
            await self._in_thread(self._write, written, self._on_disk)
        except OSError as error:
            get_logger().error("a temporary file cannot be written", error=error)
            raise DiskFull from error
        if not self._closed:
            self._on_disk += len(written)
            self._buffer = bytearray()

    async def read(self, start: int) -> bytes:
        """Return some of the bytes from ``start`` on; none at the end.

        Raises:
            ValueError: it is closed.
        """
        if self._closed:
            raise ValueError("closed")
        if start >= self._on_disk:
            start -= self._on_disk
            return bytes(self._buffer[start : start + self._memory])
        return await self._in_thread(self._read, start, min(self._memory, self._on_disk - start))

    def close(self) -> None:
        """Let go of everything; what is still being read is read to its end."""
        with self._lock:
            closed, self._closed = self._closed, True
            idle = not self._calls
        if closed:
            return
        self._disk.give_back(self._taken)
        self._buffer = bytearray()
        if self._file is not None and idle:
            asyncio.get_running_loop().run_in_executor(None, self._file.close)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        with self._lock:
            self._calls += 1
        call = asyncio.get_running_loop().run_in_executor(None, self._call, work, *arguments)
        call.add_done_callback(_look_at)
        await asyncio.wait([call])  # which a cancel breaks off, but not the thread
        return call.result()

    # -- in a thread ---------------------------------------------------------------------------------------

    def _call(self, work: Callable[..., T], *arguments: Any) -> T:
        try:
            return work(*arguments)
        finally:
            with self._lock:
                self._calls -= 1
                if self._closed and not self._calls and self._file is not None:
                    self._file.close()

    def _write(self, data: bytearray, start: int) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed by `close`)
        with memoryview(data) as rest:
            done = 0
            while done < len(rest):
                done += os.pwrite(self._file.fileno(), rest[done:], start + done)

    def _read(self, start: int, size: int) -> bytes:
        assert self._file is not None
        return os.pread(self._file.fileno(), size, start)


def _look_at(call: asyncio.Future[Any]) -> None:
    """Have nobody miss the exception of a call that nobody waits for any more."""
    if not call.cancelled():
        call.exception()
