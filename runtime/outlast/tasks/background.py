"""Runs that nobody's code is inside of: on a loop of ours, or on a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any, TypeVar

from outlast.tasks.ending import Ending
from outlast.tasks.loops import LoopThread
from outlast.tasks.run import TaskRun
from outlast.tasks.runtime import TaskRuntime

R = TypeVar("R")


class BackgroundRun(TaskRun[R]):
    """A run whose outcome is kept for whoever asks, since its code has no caller to return or raise to."""

    def __init__(self, runtime: TaskRuntime, task_type: str, task_id: int | None = None) -> None:
        super().__init__(runtime, task_type, task_id=task_id, on_end=runtime.on_function_end)
        self.ending = Ending()
        self._home: LoopThread | None = None
        # Strong: asyncio holds its tasks weakly. The ledger holds the run for as long as the task lives.
        self._kept: asyncio.Task[None] | None = None

    def outcome(self) -> R:
        """Return what the code returned or raise what it raised, once it has ended."""
        if self.error is not None:
            raise self.error
        return self.value

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
            self._end(error)
            raise

    def cancel_for_awaiter(self, message: str | None) -> None:
        """Cancel the code as often as its awaiter is canceled, as asyncio does. From any thread.

        Raises:
            RuntimeError: the loop is closed.
        """
        assert self._home is not None
        self.tracked.cancel_requested = True
        self._home.post(self.cancel_now, message)

    def _begin(self, body: Coroutine[Any, Any, R], context: Context) -> None:
        loop = asyncio.get_running_loop()
        self._kept = loop.create_task(self._main(body), name=self.tracked.name, context=context)
        self._kept.add_done_callback(partial(self._settle, body))
        self.runs_in(self._kept)

    async def _main(self, body: Coroutine[Any, Any, R]) -> None:
        """Run the code. Nothing leaves: SystemExit would end the loop, and nobody retrieves the rest."""
        self.runs_in(asyncio.current_task())
        try:
            with self:
                self.value = await body
        except GeneratorExit:
            raise
        except BaseException:
            pass
        finally:
            self.ending.happen()

    def _settle(self, body: Coroutine[Any, Any, R], task: asyncio.Task[None]) -> None:
        self._kept = None
        if not self.over:  # canceled before its first step
            body.close()
            self._end(asyncio.CancelledError())

    # -- on a thread -----------------------------------------------------------------------------------

    def on_thread(self, function: Callable[[], R], context: Context) -> None:
        """Run ``function`` in ``context`` on the thread that was reserved for it.

        Raises:
            RuntimeError: the system gives no more threads; the task has failed.
        """
        try:
            self.runtime.threads.run(partial(context.run, self._call, function))
        except BaseException as error:
            self._end(error)
            raise

    def _call(self, function: Callable[[], R]) -> None:
        try:
            with self:
                self.value = function()
        except BaseException:
            pass
        finally:
            self.ending.happen()

    def _end(self, error: BaseException) -> None:
        """End a run whose code never began."""
        self.record_end(error)
        self.ending.happen()
