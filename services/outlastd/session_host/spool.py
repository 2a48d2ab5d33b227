"""A request's body, kept where it needs no memory: a signature covers it, so all of it is seen before any is used."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing

from outlastd.front_door.request import Request
from outlastd.session_host.api_error import throttled
from outlastd.session_host.scratch import Disk, DiskFull, Scratch

#: Bytes of one body in memory, at the most: a thousand requests may come at once.
MEMORY = 256 * 1024
#: Bytes that are hashed at a time: some adapters give a body in one piece.
_STEP = 64 * 1024
#: What the bodies of this process may have of the disk together.
_DISK = Disk(2 * 1024**3)


class SpooledBody:
    """A body that has come to its end. Whoever was given it closes it."""

    def __init__(self, scratch: Scratch, sha256: str) -> None:
        self._scratch = scratch
        #: In bytes.
        self.size = scratch.size
        #: Hexadecimal.
        self.sha256 = sha256

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give it from its start, in pieces of up to 256 KiB. Any number of times, before it is closed."""
        start = 0
        while piece := await self._scratch.read(start):
            start += len(piece)
            yield piece

    async def whole(self) -> bytes:
        """Return all of it, for bodies that were given a small limit."""
        return b"".join([piece async for piece in self.chunks()])

    async def close(self) -> None:
        """Let go of it. It may be closed again."""
        self._scratch.close()


async def spool(request: Request, limit: int, *, disk: Disk = _DISK) -> SpooledBody:
    """Read a request's whole body: up to 256 KiB in memory, more in a temporary file that has no name.

    Raises:
        Refusal: it has more than ``limit`` bytes, or comes too slowly.
        ClientGone: the client left before it was complete.
        ApiError: there is no room for it on the disk.
    """
    scratch = Scratch(MEMORY, disk)
    digest = hashlib.sha256()
    try:
        async with aclosing(request.pieces(limit)) as pieces:
            async for piece in pieces:
                for start in range(0, len(piece), _STEP):
                    step = piece[start : start + _STEP]
                    digest.update(step)
                    scratch.add(step)
                    await scratch.settle()
    except DiskFull as error:
        scratch.close()
        raise throttled("There is no room for the body of the request, please retry") from error
    except BaseException:
        scratch.close()
        raise
    return SpooledBody(scratch, digest.hexdigest())
