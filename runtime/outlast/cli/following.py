"""Waiting for tasks and watching them, over restarts of the task manager."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Protocol, TypeVar

import grpc.aio

from outlast.cli.connection import TIMEOUT, Connection, Peer, open_peer
from outlast.core.state import TERMINAL, TaskState
from outlast.limits import WAIT_SECONDS
from outlast.tasks.pauses import Pauses
from outlast.tasks.watching import FINAL, watch
from outlast.v1 import task_pb2
from outlast.v1 import task_service_pb2 as pb
from outlast.wire.times import seconds_to_proto

#: Seconds that the answer to a WaitTask may come late.
_LATE = 5.0

Answer = TypeVar("Answer")
Position = TypeVar("Position")
Call = TypeVar("Call")


class View(Protocol):
    """Shows what happens."""

    def event(self, event: task_pb2.TaskEvent, cursor: str) -> None:
        """Show an event; ``cursor`` goes on behind it where a session is watched, and is empty elsewhere."""
        ...

    def note(self, text: str) -> None:
        """Say something that is no event."""
        ...


def wait(connection: Connection, name: str, seconds: float | None, note: Callable[[str], None]) -> task_pb2.Task:
    """Return a task once it is terminal, or as it stood last when ``seconds`` are over; None for never.

    Raises:
        TaskNotFound: also when it is deleted meanwhile.
        TaskManagerUnavailable: nobody answers at first. Later ones are waited for, and ``note`` hears of it.
    """

    async def question(peer: Peer) -> task_pb2.Task:
        return await _wait(peer, name, seconds, note)

    return _run(connection, question)


def watch_task(connection: Connection, name: str, after: int, view: View) -> TaskState:
    """Show a task's events after a generation, each once, until it has ended; return how.

    Raises:
        TaskNotFound: also when it is deleted meanwhile.
        TaskManagerUnavailable: nobody answers at first.
    """

    async def question(peer: Peer) -> TaskState:
        await _get(peer, name)
        seen = after

        def open_at(generation: int) -> grpc.aio.UnaryStreamCall[pb.WatchTaskRequest, pb.WatchTaskResponse]:
            request = pb.WatchTaskRequest(name=name, after_generation=generation)
            return peer.stub.WatchTask(request, metadata=peer.metadata)

        def position(answer: pb.WatchTaskResponse) -> int:
            return answer.event.generation

        def on_break(_: grpc.aio.AioRpcError) -> None:
            view.note(_gone(peer, f"going on behind generation {seen}"))

        async with aclosing(watch(_following(peer, open_at), after, position, on_break)) as answers:
            async for answer in answers:
                seen = answer.event.generation
                view.event(answer.event, "")
                if TaskState(answer.event.state) in TERMINAL:
                    return TaskState(answer.event.state)
        # Everything had been seen before.
        return TaskState((await _get(peer, name)).state)

    return _run(connection, question)


def watch_session(connection: Connection, session_id: str, cursor: str, view: View) -> None:
    """Show the events of all tasks of a session after a cursor, each once, for ever.

    Raises:
        InvalidField: the cursor is none.
        TaskManagerUnavailable: nobody answers at first.
    """

    async def question(peer: Peer) -> None:
        # Whether anybody is there: a watch alone would wait for that, too.
        await peer.ask(
            lambda tasks, metadata: tasks.ListTasks(
                pb.ListTasksRequest(session_id=session_id, page_size=1), metadata=metadata, timeout=TIMEOUT
            )
        )

        def open_at(cursor: str) -> grpc.aio.UnaryStreamCall[pb.WatchSessionRequest, pb.WatchSessionResponse]:
            request = pb.WatchSessionRequest(session_id=session_id, cursor=cursor)
            return peer.stub.WatchSession(request, metadata=peer.metadata)

        def position(answer: pb.WatchSessionResponse) -> str:
            return answer.cursor

        def on_break(_: grpc.aio.AioRpcError) -> None:
            view.note(_gone(peer, "going on where it broke off"))

        async with aclosing(watch(_following(peer, open_at), cursor, position, on_break)) as answers:
            async for answer in answers:
                view.event(answer.event, answer.cursor)

    _run(connection, question)


async def _wait(peer: Peer, name: str, seconds: float | None, note: Callable[[str], None]) -> task_pb2.Task:
    loop, pauses = asyncio.get_running_loop(), Pauses()
    deadline = float("inf") if seconds is None else loop.time() + seconds
    task = await _get(peer, name, task_pb2.TASK_VIEW_FULL)
    broken = False
    while TaskState(task.state) not in TERMINAL and (left := deadline - loop.time()) > 0:
        step = min(left, WAIT_SECONDS)
        request = pb.WaitTaskRequest(name=name, timeout=seconds_to_proto(step))
        try:
            task = await peer.stub.WaitTask(request, metadata=peer.metadata, timeout=step + _LATE)
        except grpc.aio.AioRpcError as failure:
            if failure.code() in FINAL:
                raise
            if not broken:
                note(_gone(peer, "waiting for it"))
            broken = True
            peer.move_on()
            await pauses.pause()
        else:
            broken = False
            pauses.over()
    return task


async def _get(peer: Peer, name: str, view: task_pb2.TaskView.ValueType = task_pb2.TASK_VIEW_BASIC) -> task_pb2.Task:
    request = pb.GetTaskRequest(name=name, view=view)
    return await peer.ask(lambda tasks, metadata: tasks.GetTask(request, metadata=metadata, timeout=TIMEOUT))


def _following(peer: Peer, open_at: Callable[[Position], Call]) -> Callable[[Position], Call]:
    """Open each call but the first at the next replica."""
    first = True

    def open_next(position: Position) -> Call:
        nonlocal first
        if not first:
            peer.move_on()
        first = False
        return open_at(position)

    return open_next


def _gone(peer: Peer, what_now: str) -> str:
    return f"the task manager at {peer.address} does not answer: {what_now}"


def _run(connection: Connection, question: Callable[[Peer], Awaitable[Answer]]) -> Answer:
    async def on_connection() -> Answer:
        async with open_peer(connection) as peer:
            return await question(peer)

    return asyncio.run(on_connection())
