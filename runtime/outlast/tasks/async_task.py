"""``@app.async_task``: functions whose calls are tasks."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import copy_context
from datetime import timedelta
from types import MethodType
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from outlast.core.operation import Start
from outlast.core.state import StateReason
from outlast.core.task import Task
from outlast.core.validation import MAX_NAME, check_text
from outlast.tasks import arguments, looks
from outlast.tasks.background import BackgroundRun
from outlast.tasks.call import TaskCall
from outlast.tasks.handle import TaskHandle
from outlast.tasks.options import NO_OPTIONS, TaskOptions
from outlast.tasks.run import TaskRun
from outlast.tasks.runtime import TaskRuntime
from outlast.tasks.tracked import TrackedTask

P = ParamSpec("P")
#: What a call gives: the function's value, or a TaskCall of it.
C = TypeVar("C")
#: The function's value.
R = TypeVar("R")


class AsyncTask(Generic[P, C, R]):
    """A function, tracked: calling it is calling the function, and ``start`` puts a call in the background.

    Stands for the function everywhere: name, signature, annotations and documentation are the function's, a method
    binds, and inspect and asyncio see a coroutine function where there is one.
    """

    def __init__(
        self,
        runtime: TaskRuntime,
        function: Callable[..., Any],
        name: str | None = None,
        options: TaskOptions = NO_OPTIONS,
    ) -> None:
        """Wrap ``function``; the task type is ``name``, or the function's own.

        Raises:
            TypeError: it is no function that could run as a task.
            InvalidField: the name is no printable text of 256 characters at the most.
        """
        looks.refuse_what_cannot_be_a_task(function)
        looks.take_looks(self, function)
        self._runtime = runtime
        self._function = function
        self._task_type = check_text("name", name or looks.name_of(function), MAX_NAME, required=True)
        self._options = options
        #: Whether it is a method that was looked up on an object: another process has not got that object.
        self._has_object = False
        self._is_async = looks.is_coroutine_function(function)
        if self._is_async:
            looks.mark_as_coroutine_function(self, function)

    @property
    def task_type(self) -> str:
        """The task type of its tasks."""
        return self._task_type

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> C:
        """Call the function: a ``def`` runs here and now, an ``async def`` once the call is awaited."""
        if self._is_async:
            return cast(C, TaskCall(self._runtime, self._task_type, self._function(*args, **kwargs)))
        run: TaskRun[C] = TaskRun(self._runtime, self._enter_call, on_end=self._runtime.on_function_end)
        with run:
            run.value = self._function(*args, **kwargs)
        return run.value

    def start(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """Start a task in the background and return at once. From any thread, any loop, or none.

        An ``async def`` runs on the agent's loop when started there, else on the tasks' loop; a ``def`` on a thread
        of its own, for which the task may have to wait. With ``max_attempts`` above 1 the arguments are recorded.

        Raises:
            TypeError: the arguments do not fit the function, or it is a method, whose object cannot be recorded.
            InvalidField: the arguments are to be recorded, and one of them is not JSON, or they are too large.
            BacklogFull: too many plain functions wait for a thread.
            TaskManagerUnavailable: too much waits for a task manager that is out of reach.
        """
        runtime = self._runtime
        recorded = self._recorded(args, kwargs)
        if self._is_async:
            body: Coroutine[Any, Any, R] = self._function(*args, **kwargs)
            try:
                start = runtime.new_start(self._task_type, self._options, arguments=recorded)
                run: BackgroundRun[R] = BackgroundRun(
                    runtime, lambda on_cancel: runtime.ledger.start(start, on_cancel=on_cancel)
                )
            except BaseException:
                body.close()
                raise
            run.on_loop(runtime.home_of_this_thread() or runtime.tasks_loop, body, copy_context())
            return TaskHandle(run)
        if recorded is None:  # else that was checked before
            arguments.check_fit(self._function, args, kwargs)
        start = runtime.new_start(self._task_type, self._options, arguments=recorded)
        return TaskHandle(self._start_thread(start, functools.partial(self._function, *args, **kwargs)))

    def take_over(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Run an attempt that the task manager gave to this worker. Calls nothing of the user's in this thread.

        Raises:
            TypeError: the arguments do not fit the function; nothing has begun.
        """
        runtime, function = self._runtime, self._function
        if not callable(function):
            raise TypeError(f"{self._task_type} is a class method, whose class is not on record")
        arguments.check_fit(function, args, kwargs)
        run: BackgroundRun[R] = BackgroundRun(
            runtime, lambda on_cancel: runtime.ledger.adopt(task, on_cancel=on_cancel)
        )
        if self._is_async:

            async def body() -> R:
                value: R = await function(*args, **kwargs)
                return value

            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends, and the task has failed
                run.on_loop(runtime.tasks_loop, body(), copy_context())
            return
        call = functools.partial(function, *args, **kwargs)
        if runtime.threads.reserve(self._task_type, bounded=False):
            with contextlib.suppress(RuntimeError):  # the system gives no more threads: the task has failed
                run.on_thread(call, copy_context())
        else:
            run.in_line(call, copy_context())

    def __get__(self, instance: object, owner: type | None = None) -> AsyncTask[..., C, R]:
        bind = getattr(type(self._function), "__get__", None)
        bound = self._function if bind is None else bind(self._function, instance, owner)
        if bound is self._function:
            return self
        method: AsyncTask[..., C, R] = AsyncTask(self._runtime, bound, self._task_type, self._options)
        method._has_object = isinstance(bound, MethodType)
        return method

    def __repr__(self) -> str:
        return f"<async_task {self._task_type} of {self._function!r}>"

    def _enter_call(self, on_cancel: Callable[[], None]) -> TrackedTask:
        return self._runtime.track(self._task_type, on_cancel)

    def _recorded(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes | None:
        """Return the arguments as they are recorded; None where they are not."""
        if self._options.max_attempts == 1:
            return None
        if self._has_object:
            raise TypeError(
                f"{self._task_type} has max_attempts={self._options.max_attempts} and is a method: another attempt may "
                "run in another process, which has not got the object; use a plain function, or a static method"
            )
        arguments.check_fit(self._function, args, kwargs)
        return arguments.to_record(self._function, args, kwargs)

    def _start_thread(self, start: Start, call: Callable[[], R]) -> BackgroundRun[R]:
        """Start a task on a thread of its own, or submit it where all are taken."""
        runtime = self._runtime
        if not runtime.threads.reserve(self._task_type):
            waiting: BackgroundRun[R] = BackgroundRun(
                runtime,
                lambda on_cancel: runtime.ledger.submit(start, StateReason.WORKER_BUSY, on_cancel=on_cancel),
            )
            waiting.in_line(call, copy_context())
            return waiting
        try:
            run: BackgroundRun[R] = BackgroundRun(
                runtime, lambda on_cancel: runtime.ledger.start(start, on_cancel=on_cancel)
            )
        except BaseException:
            runtime.threads.release()
            raise
        run.on_thread(call, copy_context())
        return run


Seconds = timedelta | float


class AsyncTaskDecorator:
    """``@async_task`` and ``@async_task(name=..., max_attempts=..., ...)`` for the tasks of one runtime."""

    def __init__(self, runtime: TaskRuntime) -> None:
        self._runtime = runtime
        #: What this process runs when the task manager asks, by task type.
        self.functions: dict[str, AsyncTask[..., Any, Any]] = {}

    @overload
    def __call__(
        self,
        function: Callable[P, Coroutine[Any, Any, R]],
        /,
        *,
        name: str | None = None,
        max_attempts: int = 1,
        timeout: Seconds | None = None,
        backoff: Seconds | None = None,
    ) -> AsyncTask[P, TaskCall[R], R]: ...
    @overload
    def __call__(
        self,
        function: Callable[P, R],
        /,
        *,
        name: str | None = None,
        max_attempts: int = 1,
        timeout: Seconds | None = None,
        backoff: Seconds | None = None,
    ) -> AsyncTask[P, R, R]: ...
    @overload
    def __call__(
        self,
        function: None = None,
        /,
        *,
        name: str | None = None,
        max_attempts: int = 1,
        timeout: Seconds | None = None,
        backoff: Seconds | None = None,
    ) -> AsyncTaskDecorator.Named: ...
    def __call__(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        max_attempts: int = 1,
        timeout: Seconds | None = None,
        backoff: Seconds | None = None,
    ) -> Any:
        """Make a task of ``function``, or return a decorator that will.

        ``name`` is the task type, by default the function's name. The rest holds for tasks that ``.start()`` makes; a
        call of the function is one attempt, without a timeout, and raises to its caller. A task that CreateTask makes
        goes by what CreateTask says: where it says nothing, it has one attempt and no timeout, whatever stands here.

        ``max_attempts``, 1 to 1,000, is how often a task may be tried: when its code raises, takes longer than
        ``timeout``, or its process dies or is stopped. Above 1 the arguments are recorded, which must be JSON
        (``.start()`` says which is not), and any worker of the agent that has the function may run the next attempt:
        one that was cut off may have done part of the work already. Without a running app there is one attempt.

        ``timeout`` is how long one attempt may take; ``backoff`` the wait before the second one, 1 s where nothing is
        said, doubled with each further one up to an hour. Both are seconds, or a timedelta.

        Raises:
            TypeError: ``function`` is no function that could run as a task.
            InvalidField: one of the options cannot be kept.
        """
        options = TaskOptions.checked(max_attempts, timeout, backoff)
        named = self.Named(self, name, options)
        return named if function is None else named(function)

    class Named:
        """The decorator with its options given."""

        def __init__(self, decorator: AsyncTaskDecorator, name: str | None, options: TaskOptions) -> None:
            self._decorator = decorator
            self._name = name
            self._options = options

        @overload
        def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, TaskCall[R], R]: ...
        @overload
        def __call__(self, function: Callable[P, R], /) -> AsyncTask[P, R, R]: ...
        def __call__(self, function: Callable[..., Any], /) -> Any:
            """Make a task of ``function``."""
            task: AsyncTask[..., Any, Any] = AsyncTask(self._decorator._runtime, function, self._name, self._options)
            self._decorator.functions[task.task_type] = task
            return task
