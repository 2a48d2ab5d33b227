"""What a task needs to run: the ledger, two loops, threads, and two hooks that know more than this package may load."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Protocol

from outlast.context import current_invocation
from outlast.core.operation import Finish, Start
from outlast.core.task import NO_TRACE, TraceContext
from outlast.limits import MAX_RESULT_BYTES, MAX_TASK_THREADS
from outlast.tasks.ledger import Ledger
from outlast.tasks.loops import LoopThread
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

    def track(
        self,
        task_type: str,
        *,
        metadata: bytes | None = None,
        timeout: timedelta | None = None,
        on_cancel: Callable[[], None] | None = None,
        task_id: int | None = None,
    ) -> TrackedTask:
        """Start a task in the ledger, for the invocation that the calling code belongs to.

        ``task_id`` is that of a task that was submitted from outside; any other gets one here.

        Raises:
            TaskManagerUnavailable: see Ledger.start.
        """
        invocation = current_invocation.get()
        start = Start(
            task_type,
            session_id=invocation.session_id if invocation else "",
            request_id=invocation.request_id if invocation else "",
            trace_context=self.trace.trace_context_for_new_task(),
            metadata=metadata,
            timeout=timeout,
        )
        return self.ledger.start(start, on_cancel=on_cancel, task_id=task_id)

    def start_loops(self) -> None:
        """Start both loops now. Waits for their threads, which the services' loop must not do with its first task."""
        for loop_thread in (self.agent_loop, self.tasks_loop):
            _ = loop_thread.loop

    def home_of_this_thread(self) -> LoopThread | None:
        """Return the loop of ours that the calling code runs on, or None."""
        if self.agent_loop.is_current():
            return self.agent_loop
        return self.tasks_loop if self.tasks_loop.is_current() else None
