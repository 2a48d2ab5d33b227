"""The host's end of a socket to the spawner or to a warden, on the services' loop (asyncio's or uvloop's)."""

from __future__ import annotations

import array
import asyncio
import socket
from collections.abc import Callable, Sequence

from outlastd.session_host.processes.message import CHUNK, BadMessage, Message, Messages


class Channel:
    """Sends bytes and descriptors, and hands on the messages that come."""

    def __init__(self, end: socket.socket, on_message: Callable[[Message], None], on_end: Callable[[], None]) -> None:
        """``on_end`` is called once, when the other end is closed or talks nonsense, and not after ``close``."""
        end.setblocking(False)
        self._end = end
        self._on_message = on_message
        self._on_end = on_end
        self._messages = Messages()
        self._sending = asyncio.Lock()
        self._writable: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(end, self._read)

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._end.fileno() < 0

    async def send(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send bytes, with descriptors. Raises ConnectionError when nobody is there to read them."""
        async with self._sending:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            while data:
                if self.closed:
                    raise ConnectionResetError("the other end is closed")
                try:
                    data = data[self._end.sendmsg([data], rights) :]
                    rights = []
                except (BlockingIOError, InterruptedError):
                    await self._until_writable()

    def close(self) -> None:
        """Close the socket; a second time does nothing."""
        if self.closed:
            return
        self._loop.remove_reader(self._end)
        self._wake()
        self._end.close()

    async def _until_writable(self) -> None:
        self._writable = self._loop.create_future()
        self._loop.add_writer(self._end, self._wake)
        try:
            await self._writable
        finally:
            self._wake()

    def _wake(self) -> None:
        if self._writable is not None:
            self._loop.remove_writer(self._end)
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None

    def _read(self) -> None:
        try:
            data = self._end.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        try:
            for message in self._messages.feed(data):
                self._on_message(message)
        except (BadMessage, KeyError, TypeError, ValueError):
            data = b""
        if not data and not self.closed:
            self.close()
            self._on_end()
