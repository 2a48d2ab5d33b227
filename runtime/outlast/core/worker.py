"""A worker, its lease, and what it says of itself."""

from __future__ import annotations

from datetime import datetime

from outlast.core.task_id import WORKER_NUMBERS
from outlast.core.value import value

#: The part of a lease after which a silent stream is given up, on both sides of it: the worker tries another replica,
#: and the task manager gives it nothing more.
SILENCE = 2 / 3


@value(frozen=True, slots=True)
class Registration:
    """What a worker says of itself whenever it connects."""

    #: The worker's own, the same for as long as the process runs.
    worker_id: str
    agent: str
    #: The task types that it can run when asked to.
    task_types: frozenset[str] = frozenset()
    #: The session that it is bound to: it is given tasks of that one only; empty when it runs any.
    session_id: str = ""
    #: A file on this machine that the worker holds a lock on while it lives; empty where it has none.
    lock_path: str = ""
    #: Whether it has been told to stop and takes no new work.
    draining: bool = False


@value(frozen=True, slots=True)
class Worker:
    """One run of an agent process and its lease, as the store keeps them."""

    worker_id: str
    agent: str
    #: From one counter in the store: a later lease has a higher number. A lost lease is followed by a new epoch.
    epoch: int
    #: The highest sequence that was applied, stored in the transaction that applied it.
    applied_sequence: int = 0
    #: Operations up to this sequence were applied under an epoch that is lost: their tasks are the worker's no more.
    lost_sequence: int = 0
    lock_path: str = ""
    session_id: str = ""
    task_types: frozenset[str] = frozenset()
    draining: bool = False
    #: Until when the lease holds, by the store's clock; None once it is lost, until the worker connects again.
    lease_until: datetime | None = None

    @property
    def number(self) -> int:
        """The worker's part of the task ids that it makes: 1,024 leases in a row never share one."""
        return self.epoch % WORKER_NUMBERS


@value(frozen=True, slots=True)
class Renewal:
    """A worker's sign of life."""

    worker_id: str
    #: The epoch that the worker believes to have.
    epoch: int
    draining: bool = False
