"""Tasks that this process has ended, and whose spans it makes of what it has in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from outlast.core.event import Change
from outlast.core.policy import Policy
from outlast.core.task import NO_LABELS, Task
from outlast.core.value import evolve
from outlastd.stores.deciding import owns_spans, wants_spans
from outlastd.stores.port import EndedTask

#: Tasks that are held at the most; the others are found in the store, once their rows are anybody's.
MAX_TASKS = 10_000
#: Bytes of a task's payloads that are held on to; to do without them takes longer than to hold a few.
MAX_PAYLOADS = 1_024


class SpansAtHand:
    """Holds ended tasks for as long as their rows of the outbox are this process's own (``Policy.own_spans``).

    What is not taken in time is no loss: it is on the outbox.
    """

    def __init__(self, policy: Policy, export_seconds: float, clock: Callable[[], float]) -> None:
        """``export_seconds`` is how long whoever takes tasks may be at them; ``clock`` tells seconds."""
        self._policy = policy
        # A second for the way from the decision, from which the store counts, to the commit.
        self._seconds = policy.own_spans.total_seconds() - export_seconds - 1
        self._clock = clock
        #: In the order in which they have ended, each with until when it may be taken.
        self._tasks: deque[tuple[float, Task]] = deque()

    def __len__(self) -> int:
        return len(self._tasks)

    def note(self, ended: Sequence[Change]) -> bool:
        """Take notice of tasks whose ends are committed; return whether all that is to be exported of them is here."""
        until = self._clock() + self._seconds
        all_here = True
        for change in ended:
            if not wants_spans(change, self._policy):
                continue
            if not owns_spans(change, self._policy):
                all_here = False
            elif len(self._tasks) < MAX_TASKS:
                self._tasks.append((until, _without_payloads(change.task)))
        return all_here

    def take(self, limit: int) -> Sequence[EndedTask]:
        """Return up to ``limit`` tasks that there is time for, those first that ended first; they are here no more."""
        now = self._clock()
        taken: list[EndedTask] = []
        while self._tasks and len(taken) < limit:
            until, task = self._tasks.popleft()
            if now < until:
                taken.append(EndedTask(task, ()))
        return taken


def _without_payloads(task: Task) -> Task:
    payloads = len(task.input or b"") + len(task.metadata or b"") + len(task.result or b"")
    if payloads <= MAX_PAYLOADS and not task.labels:  # which may be 80 kB
        return task
    return evolve(task, input=None, metadata=None, result=None, labels=NO_LABELS)
