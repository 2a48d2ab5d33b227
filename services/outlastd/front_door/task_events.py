"""The body of ``GET /tasks/{id}/events``: a task's events as server-sent events, up to the terminal one."""

from __future__ import annotations

import asyncio
from typing import Self

import grpc.aio

from outlast.telemetry.log import get_logger
from outlast.v1 import task_service_pb2 as pb
from outlast.wire.json_text import event_text
from outlastd.front_door.sse import KEEPALIVE, sse_event
from outlastd.front_door.task_client import Watch

#: Said when the task manager breaks the watch off: whoever comes back with the last id misses nothing (promise 3).
_BROKEN_OFF = b": the task manager broke off; ask again with Last-Event-ID\n\n"


class TaskEvents:
    """Reads a WatchTask call; sends a comment when it is silent for ``keepalive`` seconds."""

    def __init__(self, watch: Watch, keepalive: float) -> None:
        self._watch = watch
        self._keepalive = keepalive
        self._reading: asyncio.Future[pb.WatchTaskResponse | None] | None = None
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._read())
        # Not wait_for: the timeout of one keepalive must not break a read off.
        done, _ = await asyncio.wait([self._reading], timeout=self._keepalive)
        if not done:
            return KEEPALIVE
        reading, self._reading = self._reading, None
        try:
            answer = reading.result()
        except grpc.aio.AioRpcError as error:
            get_logger().warning("a watch of a task was broken off", code=error.code().name, detail=error.details())
            self._ended = True
            return _BROKEN_OFF
        if answer is None:
            raise StopAsyncIteration
        return sse_event(event_text(answer.event), str(answer.event.generation))

    async def aclose(self) -> None:
        """End the watch."""
        self._ended = True
        self._watch.cancel()
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> pb.WatchTaskResponse | None:
        answer = await self._watch.read()
        return answer if isinstance(answer, pb.WatchTaskResponse) else None  # the other one is grpc's EOF
