"""One run of a task's code: from its start in the ledger to its end there."""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from contextvars import Token
from types import TracebackType
from typing import Any, Generic, TypeVar

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


class TaskRun(Generic[R]):
    """A task that is started by making the run, and ended by leaving the ``with run:`` around its code.

    Inside, ``current_task()`` is the task; the code leaves what it returns in ``run.value``. An exception passes on.
    """

    __slots__ = (
        "_asyncio_task",
        "_cancel_sent",
        "_on_end",
        "_span",
        "_tokens",
        "error",
        "finish",
        "over",
        "refusal",
        "runtime",
        "tracked",
        "value",
    )

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
        #: What the code finds in its context variables, and the scope of its span; there while it runs.
        self._tokens: list[Token[Any]] = []
        self._span: AbstractContextManager[object] | None = None
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
        # By hand: an ExitStack of generators takes 12 us, more than all the rest of a task's start on its loop.
        tracked = self.tracked
        current = CurrentTask(tracked, self.runtime.ledger, self.runtime.max_result_bytes)
        self._tokens.append(bound_task.set(current))
        self._tokens.append(current_tracked.set(tracked))
        if tracked.invocation is not current_invocation.get():
            self._tokens.append(current_invocation.set(tracked.invocation))
        self._span = self.runtime.trace.task_scope(tracked)
        self._span.__enter__()
        if self._on_end is not None:
            lines.debug("Starting async task: %s", tracked.start.task_type, task=tracked)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        span, self._span = self._span, None
        if span is not None:
            span.__exit__(None, None, None)
        while self._tokens:
            token = self._tokens.pop()
            # A coroutine that is closed by the garbage collector is left in another context than it was entered in.
            with contextlib.suppress(ValueError):
                token.var.reset(token)
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
        # There is no code to reach any more. The two would hold each other until the garbage collector comes.
        self.tracked.on_cancel = None

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
