"""Calls of async tasks: coroutines that settle at their first step where the task's code runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from types import TracebackType
from typing import Any, TypeVar

from outlast.context import current_invocation
from outlast.tasks.background import BackgroundRun
from outlast.tasks.ending import Ending
from outlast.tasks.run import TaskRun, running_asyncio_task
from outlast.tasks.runtime import TaskRuntime
from outlast.tasks.tracked import TrackedTask

R = TypeVar("R")


class TaskCall(Coroutine[Any, Any, R]):
    """What calling an ``async def`` task returns: nothing starts until it is awaited or given to asyncio.

    Awaited in a coroutine, it is part of it, wherever that runs. As the top of an asyncio task on a loop that is not
    ours, which may end long before the work does, the code runs on the tasks' loop and the asyncio task stands in for
    it. It never runs on the agent's loop from elsewhere: a handler may block that one while it waits for this call.
    """

    def __init__(self, runtime: TaskRuntime, task_type: str, body: Coroutine[Any, Any, R]) -> None:
        #: The user's coroutine until the first step. If it never comes, Python warns of it by the function's name.
        self._body: Coroutine[Any, Any, R] | None = body
        #: What steps, from the first one on.
        self._steps: Coroutine[Any, Any, R] | None = None
        self._runtime = runtime
        self._task_type = task_type
        self._context = copy_context()
        self.__name__ = getattr(body, "__name__", task_type)
        self.__qualname__ = getattr(body, "__qualname__", task_type)

    # -- what `await`, asyncio and other drivers of coroutines call ------------------------------------

    def __await__(self) -> Generator[Any, Any, R]:
        self._steps = self._in_place(self._take_body())
        return self._steps.__await__()

    def send(self, value: Any) -> Any:
        """Take a step, as the coroutine of an asyncio task or by hand."""
        if self._steps is None:
            body = self._take_body()
            self._steps = self._by_proxy(body) if self._is_guest() else self._in_place(body)
        return self._steps.send(value)

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: BaseException | object = None,
        traceback: TracebackType | None = None,
    ) -> Any:
        """Raise an exception where the code waits."""
        error = _exception(kind, value, traceback)
        if self._steps is not None:
            return self._steps.throw(error)
        body = self._take_body()
        if isinstance(error, asyncio.CancelledError) and self._is_guest() and _asyncio_is_tearing_down():
            self._start(body)
        else:
            body.close()
        raise error

    def close(self) -> None:
        """Close the coroutine: code that runs in place ends, code that runs elsewhere lives on."""
        if self._steps is not None:
            self._steps.close()
        elif self._body is not None:
            self._take_body().close()

    def __repr__(self) -> str:
        return f"<TaskCall {self.__qualname__}>"

    # -- where it runs ---------------------------------------------------------------------------------

    def _take_body(self) -> Coroutine[Any, Any, R]:
        if self._body is None:
            raise RuntimeError(f"cannot reuse already awaited call of {self.__qualname__}()")
        body, self._body = self._body, None
        return body

    def _is_guest(self) -> bool:
        """Whether this is the top of an asyncio task on a loop that is not ours."""
        task = running_asyncio_task()
        return task is not None and task.get_coro() is self and self._runtime.home_of_this_thread() is None

    async def _in_place(self, body: Coroutine[Any, Any, R]) -> R:
        try:
            run: TaskRun[R] = self._origin().run(
                lambda: TaskRun(self._runtime, self._enter, on_end=self._runtime.on_function_end)
            )
        except BaseException:
            body.close()
            raise
        return await run.here(body)

    async def _by_proxy(self, body: Coroutine[Any, Any, R]) -> R:
        ending = Ending()
        run = self._start(body, ending.happen)
        task = asyncio.current_task()
        # The asyncio task may be dropped while it waits; only itself would be lost, so asyncio need not warn of it.
        task._log_destroy_pending = False  # type: ignore[union-attr]
        await ending.reach(Proxy(run))
        return run.outcome()

    def _start(self, body: Coroutine[Any, Any, R], on_code_end: Callable[[], None] | None = None) -> BackgroundRun[R]:
        """Start the task on the tasks' loop, where nothing but itself ends it."""
        context = self._origin()
        try:
            run: BackgroundRun[R] = context.run(
                lambda: BackgroundRun(self._runtime, self._enter, on_code_end=on_code_end)
            )
        except BaseException:
            body.close()
            raise
        run.on_loop(self._runtime.tasks_loop, body, context)
        return run

    def _enter(self, on_cancel: Callable[[], None]) -> TrackedTask:
        return self._runtime.track(self._task_type, on_cancel)

    def _origin(self) -> Context:
        """Return the context that the task starts from: this one, or the call's where this one has lost the request.

        A plain ``threading.Thread`` that is handed the call has an empty context.
        """
        here = copy_context()
        lost = here.get(current_invocation) is None and self._context.get(current_invocation) is not None
        return self._context if lost else here


class Proxy(asyncio.Future[None]):
    """What the caller's asyncio task waits on while its code runs on another loop.

    ``Task.cancel()`` cancels what its task waits on there and then. A loop that does not run at that moment is being
    torn down, by asyncio.run or by hand: the wait ends and the code lives on. While the loop runs somebody means it:
    the code is canceled, and the wait goes on until it has ended.
    """

    def __init__(self, run: BackgroundRun[Any]) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._run = run

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the code, or on a loop that does not run the wait for it."""
        if not self.done() and self.get_loop().is_running():
            try:
                self._run.cancel_for_awaiter(msg)
            except RuntimeError:  # the tasks' loop is closed: there is no end to wait for
                return super().cancel(msg)
            return True
        return super().cancel(msg)


def _exception(
    kind: type[BaseException] | BaseException, value: BaseException | object, traceback: TracebackType | None
) -> BaseException:
    """Return the three arguments of ``throw`` as the one that is not deprecated."""
    if isinstance(kind, BaseException):
        error = kind
    elif isinstance(value, BaseException):
        error = value
    else:
        error = kind() if value is None else kind(value)
    return error if traceback is None else error.with_traceback(traceback)


def _asyncio_is_tearing_down() -> bool:
    """Whether a runner of asyncio is canceling what is left on its loop.

    Asked where a task is canceled before its first step: nothing that a coroutine can see tells it apart from a
    cancel that somebody means, except who steps the loop.
    """
    frame = sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        if frame.f_code.co_name == "_cancel_all_tasks":
            return True
    return False
