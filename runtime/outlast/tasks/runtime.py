"""What a task needs to run: the ledger, two loops, threads, and two hooks that know more than this package may load."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from outlast.context import current_invocation
from outlast.core.operation import Finish, Start
from outlast.core.task import NO_TRACE, Task, TraceContext
from outlast.limits import MAX_RESULT_BYTES, MAX_TASK_THREADS
from outlast.tasks.ledger import Ledger
from outlast.tasks.loops import LoopThread
from outlast.tasks.options import NO_OPTIONS, TaskOptions
from outlast.tasks.task_threads import TaskThreads
from outlast.tasks.tracked import TrackedTask


class TraceHooks(Protocol):
    """Tracing, as tasks need it. Neither method may raise."""

    def trace_context_for_new_task(self) -> TraceContext:
        """Return the trace context of the code that is starting a task: the parent of the task's span."""
        ...

    def task_scope(self, tracked: TrackedTask) -> AbstractContextManager[object]:
        """Return a scope in which the task's span is the current one.

        It may be left in another context than it was entered in: a coroutine that the garbage collector closes.
        """
        ...


class FunctionEnd(Protocol):
    """Told that a decorated function has returned or raised, just before the ledger is. May not raise."""

    def __call__(
        self, tracked: TrackedTask, finish: Finish, seconds: float, error: BaseException | None
    ) -> Callable[[], None]:
        """Return what says so in the log: called later and elsewhere, so nothing of the user's may be left in it.

        ``error`` is what ended it as FAILED or CANCELED; None for a task that is COMPLETED.
        """
        ...


class Elsewhere(Protocol):
    """The task manager, as the handle of a task asks it whose attempts may run in other processes."""

    def follow(self, task_id: int) -> Future[Task]:
        """Return the record of a task, to come once it is terminal. From any thread.

        The future is canceled when this process can wait no longer.
        """
        ...

    def cancel(self, task_id: int) -> None:
        """Have the task manager cancel a task, soon, unless it has ended. From any thread; waits for nothing."""
        ...


class NoTracing:
    """Hooks for a process without tracing: a task gets the trace context that its invocation came with."""

    def trace_context_for_new_task(self) -> TraceContext:
        """Return the invocation's trace context."""
        invocation = current_invocation.get()
        return invocation.trace_context if invocation else NO_TRACE

    def task_scope(self, tracked: TrackedTask) -> AbstractContextManager[object]:
        """Return a scope that changes nothing."""
        return nullcontext()


class TaskRuntime:
    """What the tasks of one App share. Loops and threads start on first use."""

    def __init__(
        self,
        ledger: Ledger | None = None,
        *,
        max_task_threads: int = MAX_TASK_THREADS,
        max_result_bytes: int = MAX_RESULT_BYTES,
    ) -> None:
        self.ledger = ledger or Ledger()
        #: Async entrypoints, and the async tasks that they start.
        self.agent_loop = LoopThread("outlast-agent")
        #: Async tasks that were started from anywhere but the agent's loop.
        self.tasks_loop = LoopThread("outlast-tasks")
        # A program's tests make many Apps: each has two threads and six file descriptors as long as somebody knows it.
        for loop_thread in (self.agent_loop, self.tasks_loop):
            weakref.finalize(self, loop_thread.close, 0.0).atexit = False
        self.threads = TaskThreads(max_task_threads)
        #: Bytes of JSON at the most that are kept of a return value, and of an emitted chunk.
        self.max_result_bytes = max_result_bytes
        self.trace: TraceHooks = NoTracing()
        self.on_function_end: FunctionEnd | None = None
        #: Where attempts are followed that this process does not run; None without a task manager.
        self.elsewhere: Elsewhere | None = None

    def new_start(
        self,
        task_type: str,
        options: TaskOptions = NO_OPTIONS,
        *,
        metadata: bytes | None = None,
        arguments: bytes | None = None,
        manual: bool = False,
    ) -> Start:
        """Return the start of a task for the invocation that the calling code belongs to."""
        invocation = current_invocation.get()
        return Start(
            task_type,
            session_id=invocation.session_id if invocation else "",
            request_id=invocation.request_id if invocation else "",
            trace_context=self.trace.trace_context_for_new_task(),
            metadata=metadata,
            input=arguments,
            max_attempts=options.max_attempts,
            timeout=options.timeout,
            backoff=options.backoff,
            manual=manual,
        )

    def track(self, task_type: str, on_cancel: Callable[[], None] | None = None) -> TrackedTask:
        """Start a task in the ledger that has one attempt and no timeout, as a call of a function is.

        Raises:
            TaskManagerUnavailable: see Ledger.start.
        """
        return self.ledger.start(self.new_start(task_type), on_cancel=on_cancel)

    def start_loops(self) -> None:
        """Start both loops now. Waits for their threads, which the services' loop must not do with its first task."""
        for loop_thread in (self.agent_loop, self.tasks_loop):
            _ = loop_thread.loop

    def home_of_this_thread(self) -> LoopThread | None:
        """Return the loop of ours that the calling code runs on, or None."""
        if self.agent_loop.is_current():
            return self.agent_loop
        return self.tasks_loop if self.tasks_loop.is_current() else None
