"""Handles of tasks that were started in the background."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Generator
from typing import Any, Generic, TypeVar

from outlast.core.state import TaskState
from outlast.tasks.background import BackgroundRun
from outlast.tasks.future import TaskFuture

R = TypeVar("R")


class TaskHandle(Generic[R]):
    """A task that ``.start()`` put in the background. Usable from any thread and any loop.

    As JSON it is the first keys of the task's own: a handler may return it as it is. It follows the task through all of
    its attempts, in whichever process they run. Without a running app there is one, and its outcome is the task's.
    """

    __slots__ = ("__weakref__", "_made", "_run", "_tracked")

    def __init__(self, run: BackgroundRun[R]) -> None:
        self._run = run
        self._tracked = run.tracked
        # Made when somebody asks, which of most tasks nobody does; but what goes on elsewhere is noted from the start.
        self._made = TaskFuture(run) if run.tracked.start.max_attempts > 1 else None

    @property
    def task_id(self) -> int:
        """The task id."""
        return self._tracked.task_id

    @property
    def name(self) -> str:
        """The resource name, ``tasks/{id}``."""
        return self._tracked.name

    @property
    def task_type(self) -> str:
        """The task type: the function's name, or the one that was given."""
        return self._tracked.task_type

    @property
    def state(self) -> TaskState:
        """SUBMITTED while it waits for a thread or for another attempt, WORKING, then how the task ended."""
        return self._tracked.state if self._made is None else self._made.state

    @property
    def attempt(self) -> int:
        """Which attempt it is, from 1: the newest that this process knows of."""
        return self._future.attempt

    @property
    def recorded(self) -> bool:
        """Whether a task manager records it; without a running app only this process knows of the task."""
        return self._run.runtime.ledger.recorded

    def done(self) -> bool:
        """Whether the task has ended: with its last attempt."""
        return self._future.done()

    def cancel(self) -> bool:
        """Ask the task to stop; whether it still ran. A coroutine is canceled, other code asks ``current_task()``."""
        if self.done():
            return False
        self._future.cancel()
        return True

    def result(self, timeout: float | None = None) -> R:
        """Block until the task has ended and return what it returned, or raise what it raised.

        Raises:
            TimeoutError: it has not ended after ``timeout`` seconds; it goes on.
            concurrent.futures.CancelledError: it was canceled.
            TaskFailed: it FAILED in another process, in a later attempt, or because the runtime ended it.
            InvalidField: its result could not be kept.
            RuntimeError: called on the thread of a running event loop, which would stand still: ``await`` instead.
        """
        future = self._future
        if not future.done():
            if asyncio._get_running_loop() is not None:
                raise RuntimeError(
                    f"result() would block the event loop that runs in this thread: `await` the handle of {self.name}"
                )
            future.want()
            if not future.ending.block(timeout):
                raise TimeoutError(f"{self.name} has not ended after {timeout} s")
        try:
            return future.outcome()
        except asyncio.CancelledError as canceled:
            # Not asyncio's own: no asyncio task was canceled here, and `except Exception` should meet it.
            raise concurrent.futures.CancelledError(*canceled.args) from canceled

    def __await__(self) -> Generator[Any, Any, R]:
        """Wait on the running loop. Canceling whoever waits does not cancel the task: ``cancel()`` does."""
        return self._wait().__await__()

    def model_dump(self, **_: Any) -> dict[str, str]:
        """Return the task's first keys as the task manager gives them; named so that serialisers find it."""
        return {
            "name": self.name,
            "taskId": str(self.task_id),
            "taskType": self.task_type,
            "state": self.state.name,
        }

    def __repr__(self) -> str:
        note = "" if self.recorded else ", not recorded: no task manager"
        return f"<TaskHandle {self.name} {self.task_type} {self.state.name}{note}>"

    async def _wait(self) -> R:
        future = self._future
        future.want()
        await future.ending.reach(asyncio.get_running_loop().create_future())
        return future.outcome()

    @property
    def _future(self) -> TaskFuture[R]:
        # Two threads may make one each: either hears of the end.
        future = self._made
        if future is None:
            future = self._made = TaskFuture(self._run)
        return future
