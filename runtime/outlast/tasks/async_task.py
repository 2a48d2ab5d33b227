"""``@app.async_task``: functions whose calls are tasks."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import copy_context
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from outlast.core.validation import MAX_NAME, check_text
from outlast.tasks.background import BackgroundRun
from outlast.tasks.call import TaskCall
from outlast.tasks.handle import TaskHandle
from outlast.tasks.run import TaskRun
from outlast.tasks.runtime import TaskRuntime

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

    def __init__(self, runtime: TaskRuntime, function: Callable[..., Any], name: str | None = None) -> None:
        """Wrap ``function``; the task type is ``name``, or the function's own.

        Raises:
            TypeError: it is no function that could run as a task.
            InvalidField: the name is no printable text of 256 characters at the most.
        """
        _refuse_what_cannot_be_a_task(function)
        _take_looks(self, function)
        self._runtime = runtime
        self._function = function
        self._task_type = check_text("name", name or _name_of(function), MAX_NAME, required=True)
        self._is_async = _is_coroutine_function(function)
        if self._is_async:
            _mark_as_coroutine_function(self, function)

    @property
    def task_type(self) -> str:
        """The task type of its tasks."""
        return self._task_type

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> C:
        """Call the function: a ``def`` runs here and now, an ``async def`` once the call is awaited."""
        if self._is_async:
            return cast(C, TaskCall(self._runtime, self._task_type, self._function(*args, **kwargs)))
        run: TaskRun[C] = TaskRun(self._runtime, self._task_type, on_end=self._runtime.on_function_end)
        with run:
            run.value = self._function(*args, **kwargs)
        return run.value

    def start(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """Start a task in the background and return at once. From any thread, any loop, or none.

        An ``async def`` runs on the agent's loop when started there, else on the tasks' loop; a ``def`` on a thread
        of its own.

        Raises:
            TypeError: the arguments do not fit the function.
            RuntimeError: too many plain functions run as tasks.
            TaskManagerUnavailable: too much waits for a task manager that is out of reach.
        """
        return self.begin(None, args, kwargs)

    def begin(self, task_id: int | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskHandle[R]:
        """Start a task as ``start`` does; ``task_id`` is that of one that was submitted from outside."""
        return (self._begin_coroutine if self._is_async else self._begin_thread)(task_id, args, kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> AsyncTask[..., C, R]:
        bind = getattr(type(self._function), "__get__", None)
        bound = self._function if bind is None else bind(self._function, instance, owner)
        return self if bound is self._function else AsyncTask(self._runtime, bound, self._task_type)

    def __repr__(self) -> str:
        return f"<async_task {self._task_type} of {self._function!r}>"

    def _begin_coroutine(self, task_id: int | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskHandle[R]:
        runtime = self._runtime
        body: Coroutine[Any, Any, R] = self._function(*args, **kwargs)
        try:
            run: BackgroundRun[R] = BackgroundRun(runtime, self._task_type, task_id)
        except BaseException:
            body.close()
            raise
        run.on_loop(runtime.home_of_this_thread() or runtime.tasks_loop, body, copy_context())
        return TaskHandle(run)

    def _begin_thread(self, task_id: int | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> TaskHandle[R]:
        runtime = self._runtime
        _check_arguments(self._function, args, kwargs)
        runtime.threads.reserve(self._task_type)
        try:
            run: BackgroundRun[R] = BackgroundRun(runtime, self._task_type, task_id)
        except BaseException:
            runtime.threads.release()
            raise
        run.on_thread(functools.partial(self._function, *args, **kwargs), copy_context())
        return TaskHandle(run)


class AsyncTaskDecorator:
    """``@async_task`` and ``@async_task(name="...")`` for the tasks of one runtime."""

    def __init__(self, runtime: TaskRuntime) -> None:
        self._runtime = runtime
        #: What can be submitted from outside, by task type.
        self.functions: dict[str, AsyncTask[..., Any, Any]] = {}

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, R]], /, *, name: str | None = None
    ) -> AsyncTask[P, TaskCall[R], R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /, *, name: str | None = None) -> AsyncTask[P, R, R]: ...
    @overload
    def __call__(self, function: None = None, /, *, name: str | None = None) -> AsyncTaskDecorator.Named: ...
    def __call__(self, function: Callable[..., Any] | None = None, /, *, name: str | None = None) -> Any:
        """Make a task of ``function``, or return a decorator that will, under ``name``."""
        if function is None:
            return self.Named(self, name)
        task: AsyncTask[..., Any, Any] = AsyncTask(self._runtime, function, name)
        self.functions[task.task_type] = task
        return task

    class Named:
        """The decorator with its options given."""

        def __init__(self, decorator: AsyncTaskDecorator, name: str | None) -> None:
            self._decorator = decorator
            self._name = name

        @overload
        def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, TaskCall[R], R]: ...
        @overload
        def __call__(self, function: Callable[P, R], /) -> AsyncTask[P, R, R]: ...
        def __call__(self, function: Callable[..., Any], /) -> Any:
            """Make a task of ``function``."""
            return self._decorator(function, name=self._name)


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function inside of partials, static methods and class methods."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, staticmethod | classmethod):
            function = function.__func__
        else:
            return function


def _name_of(function: Callable[..., Any]) -> str:
    plain = _plain(function)
    return str(getattr(plain, "__name__", type(plain).__name__))


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    plain = _plain(function)
    return inspect.iscoroutinefunction(plain) or inspect.iscoroutinefunction(getattr(plain, "__call__", None))  # noqa: B004


def _refuse_what_cannot_be_a_task(function: Callable[..., Any]) -> None:
    if isinstance(function, type) or not (callable(function) or isinstance(function, classmethod)):
        raise TypeError(f"@async_task is for functions, not {function!r}")
    plain = _plain(function)
    if inspect.isasyncgenfunction(plain) or inspect.isgeneratorfunction(plain):
        raise TypeError(
            f"@async_task is not for generators, which {_name_of(plain)} is: return a value, or emit chunks"
        )


def _check_arguments(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise TypeError here and now when a call would, rather than on the task's thread."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # a builtin that has none
        return
    signature.bind(*args, **kwargs)


def _take_looks(task: AsyncTask[..., Any, Any], function: Callable[..., Any]) -> None:
    """Give the task what a function is recognised by; of a partial, what its function has."""
    functools.update_wrapper(task, function)
    plain, looks = _plain(function), vars(task)
    looks.setdefault("__name__", _name_of(function))
    # On 3.14 update_wrapper copies how to compute annotations, and nothing where they have been computed already.
    if getattr(plain, "__annotate__", None) is None:
        looks.setdefault("__annotations__", getattr(plain, "__annotations__", {}))


async def _a_coroutine_function() -> None:
    """Lend its code flags to callables that have no code of their own."""


def _mark_as_coroutine_function(task: AsyncTask[..., Any, Any], function: Callable[..., Any]) -> None:
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(task)
        return
    # On 3.11 inspect asks a callable that looks like a function for the flags of its code.
    plain = _plain(function)
    source = plain if hasattr(plain, "__code__") else _a_coroutine_function
    for attribute in ("__code__", "__defaults__", "__kwdefaults__"):
        setattr(task, attribute, getattr(source, attribute))
