"""Tasks that are tracked by hand: by id, or for the length of a block."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import TracebackType
from typing import Any

from outlast.core.validation import MAX_METADATA, MAX_NAME, check_text
from outlast.payload import to_stored_json
from outlast.tasks.current import CurrentTask, current_task
from outlast.tasks.options import TaskOptions, duration
from outlast.tasks.outcome import failed, raised, returned
from outlast.tasks.run import TaskRun, running_asyncio_task
from outlast.tasks.runtime import TaskRuntime


def add(runtime: TaskRuntime, name: object, metadata: object = None, timeout: timedelta | float | None = None) -> int:
    """Start a task that somebody will complete by its id, which is returned; over ``timeout`` it FAILED.

    There is no code that a cancel could reach: it is CANCELED once the grace has passed, unless it was completed.

    Raises:
        InvalidField: name, metadata or timeout is something that cannot be kept.
        TaskManagerUnavailable: see Ledger.start.
    """
    start = runtime.new_start(
        _name(name), TaskOptions(timeout=duration("timeout", timeout)), metadata=_metadata(metadata), manual=True
    )
    return runtime.ledger.start(start).task_id


def complete(runtime: TaskRuntime, task_id: int, result: Any = None, error: BaseException | str | None = None) -> bool:
    """End a task: COMPLETED with ``result``, or FAILED with ``error``. Whether it was alive in this process."""
    task = runtime.ledger.get(task_id)
    if task is None:
        return False
    if isinstance(error, BaseException):
        finish = raised(error, cancel_requested=task.cancel_requested)
    elif error is not None:
        finish = failed(str(error))
    else:
        finish, _ = returned(result, runtime.max_result_bytes)
    return runtime.ledger.finish(task_id, finish) is not None


class TaskBlock:
    """``with app.task("name") as task:`` or ``async with``: a task for as long as the block runs.

    Inside, ``task`` and ``current_task()`` are the same. An exception fails the task and passes on.
    """

    def __init__(
        self,
        runtime: TaskRuntime,
        name: object,
        metadata: object = None,
        timeout: timedelta | float | None = None,
    ) -> None:
        self._runtime = runtime
        self._name = _name(name)
        self._metadata = _metadata(metadata)
        self._options = TaskOptions(timeout=duration("timeout", timeout))
        self._run: TaskRun[None] | None = None

    def __enter__(self) -> CurrentTask:
        return self._enter(None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        run, self._run = self._run, None
        assert run is not None
        run.__exit__(kind, error, traceback)

    async def __aenter__(self) -> CurrentTask:
        return self._enter(running_asyncio_task())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _enter(self, asyncio_task: asyncio.Task[object] | None) -> CurrentTask:
        if self._run is not None:
            raise RuntimeError(f"the block of task {self._name} is entered already")
        start = self._runtime.new_start(self._name, self._options, metadata=self._metadata)
        run: TaskRun[None] = TaskRun(
            self._runtime, lambda on_cancel: self._runtime.ledger.start(start, on_cancel=on_cancel)
        )
        self._run = run
        run.value = None
        run.runs_in(asyncio_task)
        run.__enter__()
        return current_task()


def _name(name: object) -> str:
    return check_text("name", name if isinstance(name, str) else str(name), MAX_NAME, required=True)


def _metadata(metadata: object) -> bytes | None:
    return None if metadata is None else to_stored_json(metadata, MAX_METADATA, field="metadata")
