"""Runs that nobody's code is inside of: on a loop of ours, or on a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

from outlast.tasks.loops import LoopThread
from outlast.tasks.run import TaskRun
from outlast.tasks.runtime import TaskRuntime
from outlast.tasks.tracked import TrackedTask

R = TypeVar("R")


class BackgroundRun(TaskRun[R]):
    """A run whose outcome is kept for whoever asks, since its code has no caller to return or raise to."""

    __slots__ = ("_body", "_home", "_kept", "_on_code_end", "_waiting")

    def __init__(
        self,
        runtime: TaskRuntime,
        enter: Callable[[Callable[[], None]], TrackedTask],
        *,
        on_code_end: Callable[[], None] | None = None,
    ) -> None:
        """Start the task as TaskRun does; ``on_code_end`` is called once the code has ended, on whatever thread."""
        self._home: LoopThread | None = None
        # Strong: asyncio holds its tasks weakly. The ledger holds the run for as long as the task lives.
        self._kept: asyncio.Task[None] | None = None
        self._body: Coroutine[Any, Any, R] | None = None
        self._on_code_end = on_code_end
        #: What is to be done once a thread is free; None for a run that waits for none.
        self._waiting: Callable[[], None] | None = None
        super().__init__(runtime, enter, on_end=runtime.on_function_end)

    def outcome(self) -> R:
        """Return what the code returned or raise what it raised, once it has ended."""
        if self.error is not None:
            raise self.error
        return self.value

    def fail(self, error: BaseException) -> None:
        """End a run whose code never began."""
        self.record_end(error)
        self._code_ended()

    # -- on a loop of ours -----------------------------------------------------------------------------

    def on_loop(self, home: LoopThread, body: Coroutine[Any, Any, R], context: Context) -> None:
        """Run ``body`` in ``context`` as an asyncio task on ``home``. From any thread.

        Raises:
            RuntimeError: the loop is closed; the task has failed.
        """
        self._home = home
        if home.is_current():
            self._begin(body, context)
            return
        try:
            home.post(self._begin, body, context)
        except RuntimeError as error:
            body.close()
            self.fail(error)
            raise

    def cancel_for_awaiter(self, message: str | None) -> None:
        """Cancel the code as often as its awaiter is canceled, as asyncio does. From any thread.

        Raises:
            RuntimeError: the loop is closed.
        """
        assert self._home is not None
        self.tracked.note_cancel()
        self._home.post(self.cancel_now, message)

    def _begin(self, body: Coroutine[Any, Any, R], context: Context) -> None:
        loop, self._body = asyncio.get_running_loop(), body
        kept = self._kept = loop.create_task(self._main(body), name=self.tracked.name, context=context)
        kept.add_done_callback(self._settle)
        if self._asyncio_task is None:
            self.runs_in(kept)

    async def _main(self, body: Coroutine[Any, Any, R]) -> None:
        """Run the code. Nothing leaves: SystemExit would end the loop, and nobody retrieves the rest."""
        if self._asyncio_task is None:  # a loop whose tasks take their first step as they are made
            self.runs_in(asyncio.current_task())
        try:
            with self:
                self.value = await body
        except GeneratorExit:
            raise
        except BaseException:
            pass
        finally:
            self._code_ended()

    def _settle(self, task: asyncio.Task[None]) -> None:
        body, self._kept, self._body = self._body, None, None
        if not self.over and body is not None:  # canceled before its first step
            body.close()
            self.fail(asyncio.CancelledError())

    # -- on a thread -----------------------------------------------------------------------------------

    def on_thread(self, function: Callable[[], R], context: Context) -> None:
        """Run ``function`` in ``context`` on the thread that was reserved for it.

        Raises:
            RuntimeError: the system gives no more threads; the task has failed.
        """
        try:
            self.runtime.threads.run(lambda: context.run(self._call, function))
        except BaseException as error:
            self.fail(error)
            raise

    def in_line(self, function: Callable[[], R], context: Context) -> None:
        """Run ``function`` in ``context`` once a thread is free, unless the task has ended by then."""
        self._waiting = lambda: context.run(self._call, function)
        self.runtime.threads.line_up(self)
        self.tracked.when_ended(self._leave_line)
        if self.tracked.cancel_requested:
            self._pass_cancel_on()

    def work(self) -> None:
        """Begin, on the thread that this run stood in line for."""
        work, self._waiting = self._waiting, None
        assert work is not None
        if self.tracked.cancel_requested:
            self.fail(asyncio.CancelledError())
        elif self._begins():
            work()

    def cannot_begin(self, error: BaseException) -> None:
        """Fail: there will be no thread."""
        self.fail(error)

    def _begins(self) -> bool:
        """Have the task begin, unless it has ended; one that the task manager gave has begun on record."""
        return self.runtime.ledger.begin(self.tracked) if self.tracked.pending else self.tracked.finish is None

    def _leave_line(self) -> None:
        self.runtime.threads.leave(self)

    def _pass_cancel_on(self) -> None:
        if self._waiting is not None and self.runtime.threads.leave(self):
            self.fail(asyncio.CancelledError())
        else:
            super()._pass_cancel_on()

    def _call(self, function: Callable[[], R]) -> None:
        try:
            with self:
                self.value = function()
        except BaseException:
            pass
        finally:
            self._code_ended()

    def _code_ended(self) -> None:
        if self._on_code_end is not None:
            self._on_code_end()
