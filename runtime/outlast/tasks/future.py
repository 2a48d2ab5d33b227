"""What becomes of a task that was started in the background: here at first, and then wherever it is tried again."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import Generic, TypeVar, cast

from outlast.core.another_attempt import may_run_again
from outlast.core.operation import Finish
from outlast.core.state import TaskState
from outlast.core.task import Task, TaskError
from outlast.tasks.background import BackgroundRun
from outlast.tasks.ending import Ending
from outlast.tasks.failed import TaskFailed

R = TypeVar("R")


class TaskFuture(Generic[R]):
    """The outcome of a task, to come. Thread-safe.

    The first attempt runs here. Where another one follows it, the task manager is asked how the task ends, from when
    somebody wants to know: a task that nobody waits for costs nothing.
    """

    __slots__ = (
        "_following",
        "_goes_on",
        "_here_ended",
        "_lock",
        "_lost",
        "_record",
        "_run",
        "_tracked",
        "_wanted",
        "ending",
    )

    def __init__(self, run: BackgroundRun[R]) -> None:
        self.ending = Ending()
        self._run = run
        self._tracked = run.tracked
        # Re-entrant: the garbage collector may ask from a finaliser while this thread holds the lock.
        self._lock = threading.RLock()
        self._here_ended = False
        #: Whether another attempt follows that of this process.
        self._goes_on = False
        self._wanted = False
        self._following = False
        #: How the task ended; None while that is not known, or was told by the attempt here.
        self._record: Task | None = None
        #: Why it cannot be known how the task ended.
        self._lost: BaseException | None = None
        self._tracked.when_ended(self._attempt_ended)

    @property
    def state(self) -> TaskState:
        """Where the task stands, as far as this process knows."""
        if not self._goes_on:
            return self._tracked.state
        self.want()
        if self._record is not None:
            return self._record.state
        if self.ending.happened():
            return self._tracked.state
        live = self._run.runtime.ledger.get(self._tracked.task_id)
        return TaskState.SUBMITTED if live is None else live.state

    @property
    def attempt(self) -> int:
        """The newest attempt that this process knows of."""
        if self._record is not None:
            return self._record.attempt
        live = self._run.runtime.ledger.get(self._tracked.task_id)
        return self._tracked.attempt if live is None else live.attempt

    def done(self) -> bool:
        """Whether the task has ended."""
        if self._goes_on:
            self.want()
        return self.ending.happened()

    def want(self) -> None:
        """Have the task followed wherever it goes on; before every wait for ``ending``."""
        with self._lock:
            self._wanted = True
            follow = self._goes_on and not self._following
            self._following = self._following or follow
        if follow:
            self._follow()

    def cancel(self) -> None:
        """Ask the task to stop, whichever process runs it."""
        runtime = self._run.runtime
        live = runtime.ledger.get(self._tracked.task_id)
        if live is not None:
            live.cancel()
        # An attempt that fails instead of following would run again: the task manager has to know that it must not.
        if self._tracked.start.max_attempts > 1 and runtime.elsewhere is not None:
            runtime.elsewhere.cancel(self._tracked.task_id)

    def outcome(self) -> R:
        """Return what the task returned or raise why it did not, once it has ended.

        Raises:
            asyncio.CancelledError: it was canceled.
            TaskFailed: it FAILED, and the exception of its code is not one of this process.
            InvalidField: its result could not be kept.
            Exception: its code raised it here.
        """
        record = self._record
        if record is not None and not (record.state is TaskState.FAILED and record.attempt == self._tracked.attempt):
            return self._told(record.state, record.result, record.error)
        if self._lost is not None:
            raise self._lost
        run, finish = self._run, self._tracked.finish
        assert finish is not None
        if finish is not run.finish:  # somebody else has ended it: what the code does from then on is nobody's
            return self._told(finish.state, finish.result, finish.error)
        value = run.outcome()
        if run.refusal is not None:
            raise run.refusal
        return value

    def _told(self, state: TaskState, result: bytes | None, error: TaskError | None) -> R:
        """Return or raise what a record says."""
        if state is TaskState.COMPLETED:
            import json  # an App alone has no use for it

            return cast(R, json.loads(result or b"null"))
        if state is TaskState.CANCELED:
            raise asyncio.CancelledError(error.message if error else "")
        raise TaskFailed(self._tracked.name, error or TaskError(2, "", "UNKNOWN"))

    def _attempt_ended(self) -> None:
        """Take note that the attempt here has ended. More than once does nothing."""
        finish = self._tracked.finish
        assert finish is not None
        with self._lock:
            if self._here_ended:
                return
            self._here_ended = True
            self._goes_on = self._runs_again(finish)
            follow = self._following = self._goes_on and self._wanted
        if follow:
            self._follow()
        elif not self._goes_on:
            self.ending.happen()

    def _runs_again(self, finish: Finish) -> bool:
        runtime, tracked = self._run.runtime, self._tracked
        if runtime.elsewhere is None or not runtime.ledger.recorded or tracked.start.max_attempts == 1:
            return False
        # Whether somebody has asked to cancel is for the task manager to say: it may not know of it yet.
        attempt = Task(
            tracked.task_id,
            tracked.task_type,
            agent="",
            state=TaskState.WORKING,
            attempt=tracked.attempt,
            max_attempts=tracked.start.max_attempts,
        )
        return may_run_again(attempt, finish)

    def _follow(self) -> None:
        assert self._run.runtime.elsewhere is not None
        self._run.runtime.elsewhere.follow(self._tracked.task_id).add_done_callback(self._followed)

    def _followed(self, future: concurrent.futures.Future[Task]) -> None:
        if not future.cancelled():  # else what became of the attempt here is all there is to say
            self._lost = future.exception()
            self._record = None if self._lost is not None else future.result()
        self.ending.happen()
