"""The events of tasks as server-sent events. The task manager may restart, or another replica take over, meanwhile."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

import grpc.aio

from outlast.tasks.watching import watch
from outlast.telemetry.log import get_logger
from outlast.v1 import task_service_pb2 as pb
from outlast.wire.json_text import event_text
from outlastd.front_door.sse import sse_event
from outlastd.front_door.task_client import TaskClient


async def task_events(client: TaskClient, name: str, after: int) -> AsyncGenerator[bytes, None]:
    """Give a task's events after a generation, which is their id, each once, up to the terminal one."""

    def generation(answer: pb.WatchTaskResponse) -> int:
        return answer.event.generation

    async with aclosing(watch(partial(client.watch, name), after, generation, _broken_off)) as answers:
        async for answer in answers:
            yield sse_event(event_text(answer.event), str(answer.event.generation))


async def session_events(
    client: TaskClient, session_id: str, cursor: str, *, agent: str
) -> AsyncGenerator[bytes, None]:
    """Give the events of all tasks of a session after a cursor, which is their id, each once, without an end."""

    def open_at(cursor: str) -> grpc.aio.UnaryStreamCall[pb.WatchSessionRequest, pb.WatchSessionResponse]:
        return client.watch_session(session_id, cursor, agent=agent)

    def position(answer: pb.WatchSessionResponse) -> str:
        return answer.cursor

    async with aclosing(watch(open_at, cursor, position, _broken_off)) as answers:
        async for answer in answers:
            yield sse_event(event_text(answer.event), answer.cursor)


def _broken_off(error: grpc.aio.AioRpcError) -> None:
    get_logger().warning("a watch was broken off and goes on", code=error.code().name, detail=error.details())
