"""Room for output: how many bytes of it may wait for the task manager, and who waits until there is room again."""

from __future__ import annotations

from collections.abc import Iterable

from outlast import limits
from outlast.tasks.ending import Ending

#: Bytes of all tasks' output that may wait for the task manager.
MAX_IN_ALL = 16 * 1024 * 1024


class OutputRoom:
    """Bytes of output, of each task and of all. Not thread-safe: the ledger's lock protects it."""

    def __init__(self) -> None:
        self._of_task: dict[int, int] = {}
        self._in_all = 0
        #: What those wait on that found no room, by task; whether its own bytes were in the way or everybody's.
        self._own: dict[int, Ending] = {}
        self._everybodys: dict[int, Ending] = {}

    def of_task(self, task_id: int) -> int:
        """Return how many bytes of a task wait."""
        return self._of_task.get(task_id, 0)

    def add(self, task_id: int, size: int) -> None:
        """Take room."""
        self._of_task[task_id] = self.of_task(task_id) + size
        self._in_all += size

    def free(self, task_id: int, size: int) -> None:
        """Give room back, and wake whoever may have been waiting for it."""
        self._in_all -= size
        left = self._of_task.pop(task_id) - size
        if left:
            self._of_task[task_id] = left
        self._wake(self._own, [task_id])
        self._wake(self._everybodys, list(self._everybodys))

    def gate(self, task_id: int, size: int) -> Ending | None:
        """Return what to wait on before ``size`` bytes are looked at again; None when there is room for them.

        One piece that is larger than all the room has it to itself.
        """
        waiting = None
        if (own := self.of_task(task_id)) and own + size > limits.MAX_UNACKNOWLEDGED_OUTPUT:
            waiting = self._own
        elif self._in_all and self._in_all + size > MAX_IN_ALL:
            waiting = self._everybodys
        return None if waiting is None else waiting.setdefault(task_id, Ending())

    def wake(self, task_id: int) -> None:
        """Have whoever waits for a task look again: it has ended, or somebody wants it to."""
        for waiting in (self._own, self._everybodys):
            if waiting:
                self._wake(waiting, [task_id])

    def wake_all(self) -> None:
        """Have everybody look again."""
        for waiting in (self._own, self._everybodys):
            self._wake(waiting, list(waiting))

    @staticmethod
    def _wake(waiting: dict[int, Ending], task_ids: Iterable[int]) -> None:
        for task_id in task_ids:
            if (gate := waiting.pop(task_id, None)) is not None:
                gate.happen()
