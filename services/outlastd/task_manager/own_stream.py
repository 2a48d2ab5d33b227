"""The stream of the worker in this very process: what gRPC would carry, handed over in memory.

An agent with a task manager of its own has both ends of its worker's stream in one process and on one loop, the
services': everything here runs there. Through gRPC each message also takes a socket and the threads of gRPC's, which
together was a seventh of the processor time of an invocation that starts a task. Only that is left out. The ends are
the ones that speak over gRPC too (outlast.tasks.stream, worker_servicer.py), and find here what they use of grpc.aio.
Messages are handed over as bytes: neither end sees what the other does to its own, and the limit is of what travels.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import Context as Variables
from typing import NoReturn, Self, cast

import grpc
import grpc.aio

from outlast.v1 import worker_service_pb2 as pb
from outlastd.task_manager.answering import Context
from outlastd.task_manager.worker_servicer import WorkerServicer


class OwnStreams:
    """Opens streams to a servicer, and stops them as ``grpc.aio.Server`` does its calls."""

    def __init__(self, servicer: WorkerServicer, max_bytes: int) -> None:
        """``max_bytes`` is the size of a message at the most."""
        self._servicer = servicer
        self._max_bytes = max_bytes
        self._served: set[asyncio.Task[None]] = set()

    def open(self) -> OwnStream:
        """Return the worker's end of a new stream."""
        stream = OwnStream(self._servicer, self._max_bytes)
        self._served.add(stream.served)
        stream.served.add_done_callback(self._served.discard)
        return stream

    async def stop(self, grace: float) -> None:
        """Wait up to ``grace`` seconds for the streams to end, then cancel what serves them."""
        if self._served:
            _, late = await asyncio.wait(self._served, timeout=grace)
            for served in late:
                served.cancel()


class OwnStream:
    """The worker's end: what it uses of ``grpc.aio.StreamStreamCall``."""

    def __init__(self, servicer: WorkerServicer, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._end = _ServicersEnd(_Way(), _Way())
        #: Runs for as long as the stream is served: with no context variables but its own, like a call over gRPC.
        self.served = asyncio.create_task(self._end.serve(servicer), name="outlast own stream", context=Variables())
        # Not in the coroutine: one that is cancelled at once never begins.
        self.served.add_done_callback(self._end.close)

    async def write(self, request: pb.ConnectRequest) -> None:
        """Send a message, after a wait for the one before it to be taken.

        Raises:
            grpc.aio.AioRpcError: the message is too large, which ends the stream; or the error that has ended it.
            asyncio.InvalidStateError: the stream has ended well.
        """
        message = request.SerializeToString()
        if len(message) > self._max_bytes:
            why = f"Sent message larger than max ({len(message)} vs. {self._max_bytes})"
            self._end.error = grpc.aio.AioRpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, details=why)
            self._end.close(self.served)  # at once: what serves it may have to wait for the store before it ends
            self.cancel()
        elif await self._end.up.put(message):
            return
        raise self._end.error or asyncio.InvalidStateError("the stream has ended")

    async def read(self) -> object:
        """Return the next ConnectResponse, grpc.aio.EOF after the last; raise the AioRpcError that ended it."""
        message = await self._end.down.get()
        if message is not None:
            return pb.ConnectResponse.FromString(message)
        if self._end.error is not None:
            raise self._end.error
        return grpc.aio.EOF

    def cancel(self) -> bool:
        """End the stream; return whether it had not ended."""
        return self.served.cancel()


class _ServicersEnd:
    """The iterator of requests and what a servicer uses of ``grpc.aio.ServicerContext``, in one."""

    def __init__(self, up: _Way, down: _Way) -> None:
        self.up, self.down = up, down
        self.error: grpc.aio.AioRpcError | None = None

    async def serve(self, servicer: WorkerServicer) -> None:
        with suppress(grpc.aio.AbortError):
            await servicer.Connect(self, cast(Context, self))

    def close(self, _served: object) -> None:
        self.up.close()
        self.down.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> pb.ConnectRequest:
        if (message := await self.up.get()) is None:
            raise StopAsyncIteration
        return pb.ConnectRequest.FromString(message)

    async def write(self, response: pb.ConnectResponse) -> None:
        await self.down.put(response.SerializeToString())

    async def abort(
        self, code: grpc.StatusCode, details: str, trailing_metadata: tuple[tuple[str, bytes], ...]
    ) -> NoReturn:
        self.error = grpc.aio.AioRpcError(code, None, grpc.aio.Metadata(*trailing_metadata), details)
        raise grpc.aio.AbortError


class _Way:
    """Messages one way: one at a time, so that who writes waits for who reads."""

    def __init__(self) -> None:
        self._message: bytes | None = None
        self._closed = False
        #: Who waits: the writer while there is a message, the reader while there is none, so never both.
        self._waiting: asyncio.Future[None] | None = None

    async def put(self, message: bytes) -> bool:
        """Hand a message over; False when nobody will take it."""
        while self._message is not None and not self._closed:
            await self._wait()
        if self._closed:
            return False
        self._message = message
        self._wake()
        return True

    async def get(self) -> bytes | None:
        """Return the next message; None after the last one."""
        while self._message is None and not self._closed:
            await self._wait()
        message, self._message = self._message, None
        self._wake()
        return message

    def close(self) -> None:
        """Take no more; what is there may be got yet."""
        self._closed = True
        self._wake()

    async def _wait(self) -> None:
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
