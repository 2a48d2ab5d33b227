"""Tasks whose attempts may run in other processes: asked of the task manager, across every outage."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from datetime import timedelta
from typing import Any, TypeVar

import grpc
import grpc.aio

from outlast.core.task import Task
from outlast.tasks.channel import Replicas, bearer
from outlast.tasks.pauses import Pauses
from outlast.tasks.watching import FINAL
from outlast.v1 import task_service_pb2 as pb
from outlast.v1.task_service_pb2_grpc import TaskServiceStub
from outlast.wire.errors import from_rpc_error
from outlast.wire.tasks import task_from_proto
from outlast.wire.times import duration_to_proto

#: Seconds that one question waits for the end of a task, and how much longer its answer may take.
WAIT = 50.0
PATIENCE = 10.0

T = TypeVar("T")


class Follower:
    """Asks a task manager on behalf of handles (runtime.Elsewhere). Made and closed on the services' loop."""

    def __init__(self, replicas: Replicas, token: str, is_known: Callable[[int], bool]) -> None:
        """``is_known`` tells whether this process has yet to tell the task manager something of a task."""
        self._replicas = replicas
        self._metadata = bearer(token)
        self._is_known = is_known
        self._loop = asyncio.get_running_loop()
        self._asking: set[asyncio.Task[None]] = set()
        self._closed = False

    def follow(self, task_id: int) -> Future[Task]:
        """Return the record of a task, to come once it is terminal. From any thread.

        Canceling the future ends the questions. It is canceled when this process can wait no longer, and fails with
        the OutlastError that the task manager answers for good, such as TaskNotFound.
        """
        return self._ask(lambda: self._end_of(f"tasks/{task_id}", task_id))

    def cancel(self, task_id: int) -> None:
        """Have the task manager cancel a task, soon, unless it has ended. From any thread; waits for nothing."""
        self._ask(lambda: self._cancel(f"tasks/{task_id}", task_id))

    async def close(self) -> None:
        """Ask nothing any more."""
        self._closed = True
        for task in self._asking:
            task.cancel()
        if self._asking:
            await asyncio.wait(self._asking)

    def _ask(self, question: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        answer: Future[T] = Future()
        try:
            self._loop.call_soon_threadsafe(self._begin, question, answer)
        except RuntimeError:  # the loop is closed
            answer.cancel()
        return answer

    def _begin(self, question: Callable[[], Coroutine[Any, Any, T]], answer: Future[T]) -> None:
        if self._closed:
            answer.cancel()
            return
        task = asyncio.create_task(self._settle(question, answer))
        self._asking.add(task)

        def over(task: asyncio.Task[None]) -> None:
            self._asking.discard(task)
            answer.cancel()  # nothing happens where there is an answer; a task may be canceled before its first step

        task.add_done_callback(over)

        def given_up(answer: Future[T]) -> None:
            if answer.cancelled():
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    self._loop.call_soon_threadsafe(task.cancel)

        answer.add_done_callback(given_up)

    async def _settle(self, question: Callable[[], Coroutine[Any, Any, T]], answer: Future[T]) -> None:
        try:
            value = await question()
        except grpc.aio.AioRpcError as error:
            if answer.set_running_or_notify_cancel():
                answer.set_exception(from_rpc_error(error))
        except Exception as error:
            if answer.set_running_or_notify_cancel():
                answer.set_exception(error)
        else:
            if answer.set_running_or_notify_cancel():
                answer.set_result(value)

    async def _end_of(self, name: str, task_id: int) -> Task:
        request = pb.WaitTaskRequest(name=name, timeout=duration_to_proto(timedelta(seconds=WAIT)))
        while True:
            proto = await self._until_answered(
                lambda: TaskServiceStub(self._replicas.current).WaitTask(
                    request, timeout=WAIT + PATIENCE, metadata=self._metadata
                ),
                task_id,
            )
            task = task_from_proto(proto)
            if task.state.terminal:
                return task

    async def _cancel(self, name: str, task_id: int) -> None:
        request = pb.CancelTaskRequest(name=name)
        await self._until_answered(
            lambda: TaskServiceStub(self._replicas.current).CancelTask(
                request, timeout=PATIENCE, metadata=self._metadata
            ),
            task_id,
        )

    async def _until_answered(self, ask: Callable[[], Any], task_id: int) -> Any:
        """Return the first answer that counts, asking again after whatever may be over in a moment."""
        pauses = Pauses()
        while True:
            try:
                return await ask()
            except grpc.aio.AioRpcError as error:
                unheard_of = error.code() is grpc.StatusCode.NOT_FOUND and self._is_known(task_id)
                if error.code() in FINAL and not unheard_of:
                    raise
            await pauses.pause()
