"""What the task manager has a worker do to the tasks that live in it. On the services' loop."""

from __future__ import annotations

from collections.abc import Callable

from outlast.core.errors import ErrorCode, OutlastError
from outlast.core.operation import Finish, Operation, Output, Report, Start, Submit
from outlast.core.task import Task
from outlast.tasks import taken
from outlast.tasks.ledger import Ledger
from outlast.tasks.tracked import TrackedTask
from outlast.telemetry.log import get_logger

#: Refusals that tell of what happened elsewhere: the task was lost, ended, deleted.
_OVERTAKEN = frozenset({ErrorCode.LEASE_LOST, ErrorCode.FAILED_PRECONDITION, ErrorCode.NOT_FOUND})


class Orders:
    """Carries out what comes down the stream, and what follows from its silence."""

    def __init__(self, ledger: Ledger, run: Callable[[Task], None]) -> None:
        """``run`` begins an attempt that the task manager gave to this worker."""
        self._ledger = ledger
        self._run = run
        self._log = get_logger()

    def run(self, task: Task) -> None:
        """Begin an attempt, unless it was begun before: it is given again after each break of the stream.

        An older one that lives here gives way. While the process comes to its end, what another worker may do goes back
        at once.
        """
        if self._ledger.ran(task.task_id, task.attempt):
            return
        older = self._ledger.get(task.task_id)
        if older is not None:  # the task manager has given it up, and knows better
            self._drop(older, taken.lost("another attempt was begun"))
        if self._ledger.draining and task.attempt < task.max_attempts:
            finish = taken.shut_down("the worker was told to stop before it had begun")
            self._ledger.finish(self._ledger.adopt(task), finish)
        else:
            self._run(task)

    def cancel(self, task_id: int) -> None:
        """Ask a task to stop."""
        task = self._ledger.get(task_id)
        if task is not None:
            task.cancel()

    def let_go(self, task_id: int, reason: str) -> None:
        """Let go of a task that is terminal already."""
        task = self._ledger.get(task_id)
        if task is not None:
            self._drop(task, taken.ended_elsewhere(reason))

    def welcomed(self, epoch: int, lost_sequence: int) -> None:
        """Let go of what the worker held under leases that it has lost (promise 5)."""
        finish = taken.lost("the worker's lease has run out, and the task is no longer its own")
        for task in self._ledger.live():
            if task.epoch < epoch if task.epoch else 0 < task.start_sequence <= lost_sequence:
                self._drop(task, finish)

    def cut_off(self, lease_ttl: float) -> None:
        """End the attempts that may be running elsewhere by now: the lease has run out by the worker's own clock.

        What nobody else may run goes on. The ends are sent as any other: the task manager refuses them where it has
        given the task away, else they release it.
        """
        finish = taken.lost(
            f"the worker was cut off from the task manager for longer than its lease of {lease_ttl:g} s: "
            "the task may be running elsewhere"
        )
        for task in self._ledger.known_elsewhere():
            if task.may_run_elsewhere and self._ledger.finish(task, finish):
                task.interrupt()

    def refused(self, operation: Operation, error: OutlastError) -> None:
        """Let go of a task whose start is refused, or that is somebody else's: it is not this worker's."""
        task = self._ledger.get(operation.task_id)
        if task is not None and operation.attempt not in (0, task.attempt):
            task = None  # what lives here is a later attempt
        if task is None and isinstance(operation.action, Report | Output):
            return  # it was let go of, and these were on their way
        tell = self._log.warning if error.code in _OVERTAKEN else self._log.error
        tell("operation refused", taskId=str(operation.task_id), code=error.code, reason=error.message)
        if task is None:
            return
        if error.code is ErrorCode.LEASE_LOST:
            self._drop(task, taken.lost(error.message))
        elif isinstance(operation.action, Start | Submit):
            self._drop(task, taken.refused(error.code, error.message))

    def _drop(self, task: TrackedTask, finish: Finish) -> None:
        if self._ledger.drop(task, finish):
            task.interrupt()
