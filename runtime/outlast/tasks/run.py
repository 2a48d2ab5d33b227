"""One run of a task's code: from its start in the ledger to its end there."""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from types import TracebackType
from typing import Generic, TypeVar

from outlast.context import current_invocation
from outlast.core.errors import InvalidField
from outlast.core.operation import Finish
from outlast.tasks.current import CurrentTask, bound_task
from outlast.tasks.outcome import raised, returned
from outlast.tasks.runtime import FunctionEnd, TaskRuntime
from outlast.tasks.tracked import TrackedTask
from outlast.telemetry import lines
from outlast.telemetry.tracked import current_tracked

R = TypeVar("R")
T = TypeVar("T")


class TaskRun(Generic[R]):
    """A task that is started by making the run, and ended by leaving the ``with run:`` around its code.

    Inside, ``current_task()`` is the task; the code leaves what it returns in ``run.value``. An exception passes on.
    """

    #: What the code returned; only there once it has.
    value: R

    def __init__(
        self,
        runtime: TaskRuntime,
        enter: Callable[[Callable[[], None]], TrackedTask],
        *,
        on_end: FunctionEnd | None = None,
    ) -> None:
        """Start the task: ``enter`` puts it into the ledger, is given what reaches its code, and may raise."""
        self.runtime = runtime
        #: What the code raised.
        self.error: BaseException | None = None
        #: Why the value was refused; the task has then failed, though its code has not.
        self.refusal: InvalidField | None = None
        #: Whether the code has ended.
        self.over = False
        #: How the code has ended; it is the end of the task unless somebody else had ended that before.
        self.finish: Finish | None = None
        self._on_end = on_end
        # Weak: the ledger holds the run, and code that is dropped with its loop must not stay alive, and busy, by that.
        self._asyncio_task: weakref.ref[asyncio.Task[object]] | None = None
        self._cancel_sent = False
        self._scope = contextlib.ExitStack()
        self.tracked = enter(self._pass_cancel_on)

    async def here(self, body: Awaitable[R]) -> R:
        """Await ``body`` in place, as the task's code."""
        self.runs_in(running_asyncio_task())
        with self:
            self.value = await body
        return self.value

    def runs_in(self, task: asyncio.Task[object] | None) -> None:
        """Have cancels reach the code by way of the asyncio task that runs it. On that task's loop."""
        self._asyncio_task = None if task is None else weakref.ref(task)
        if self.tracked.cancel_requested:
            self._pass_cancel_on()

    def __enter__(self) -> TaskRun[R]:
        current = CurrentTask(self.tracked, self.runtime.ledger, self.runtime.max_result_bytes)
        self._scope.enter_context(_bound(bound_task, current))
        self._scope.enter_context(_bound(current_tracked, self.tracked))
        if self.tracked.invocation is not current_invocation.get():
            self._scope.enter_context(_bound(current_invocation, self.tracked.invocation))
        self._scope.enter_context(self.runtime.trace.task_scope(self.tracked))
        if self._on_end is not None:
            lines.debug("Starting async task: %s", self.tracked.start.task_type, task=self.tracked)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._scope.close()
        self.record_end(error)

    def record_end(self, error: BaseException | None) -> None:
        """End the task in the ledger, as the code has ended: with ``error``, or with ``self.value``."""
        self.over = True
        self.error = error
        if error is None:
            finish, self.refusal = returned(self.value, self.runtime.max_result_bytes)
        else:
            finish = raised(error, cancel_requested=self._cancel_requested())
        self.finish = finish
        task = self._running_in()
        if task is not None and self._cancel_sent and not isinstance(error, asyncio.CancelledError):
            task.uncancel()  # the code dealt with it: nothing of it is left for its awaiter
        tell = None
        if self._on_end is not None and self.tracked.finish is None:
            seconds = time.monotonic() - self.tracked.started_monotonic
            tell = self._on_end(self.tracked, finish, seconds, error or self.refusal)
        self.runtime.ledger.finish(self.tracked, finish, tell)

    def _cancel_requested(self) -> bool:
        """Whether somebody asked, be it by way of asyncio."""
        task = self._running_in()
        return self.tracked.cancel_requested or (task is not None and task.cancelling() > 0)

    def _pass_cancel_on(self) -> None:
        """Cancel the code, soon, if it is a coroutine; other code asks whether it is cancelled. From any thread."""
        task = self._running_in()
        if task is not None:
            with contextlib.suppress(RuntimeError):  # its loop is closed: there is no code to reach
                task.get_loop().call_soon_threadsafe(self._cancel_once)

    def _cancel_once(self) -> None:
        if not self._cancel_sent:
            self.cancel_now()

    def cancel_now(self, message: str | None = None) -> None:
        """Cancel the code if it still runs. On its loop."""
        task = self._running_in()
        if task is not None and not self.over:
            self._cancel_sent = True
            task.cancel(message)

    def _running_in(self) -> asyncio.Task[object] | None:
        return None if self._asyncio_task is None else self._asyncio_task()


def running_asyncio_task() -> asyncio.Task[object] | None:
    """Return the asyncio task that the calling code runs in; None where no loop of asyncio runs."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


@contextlib.contextmanager
def _bound(variable: ContextVar[T], value: T) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        # A coroutine that is closed by the garbage collector is left in another context than it was entered in.
        with contextlib.suppress(ValueError):
            variable.reset(token)
