"""A worker as the store keeps it."""

from __future__ import annotations

from dataclasses import dataclass

#: A task id has room for this many workers at a time (task_id.py).
WORKER_NUMBERS = 1024


@dataclass(frozen=True, slots=True)
class Worker:
    """One run of an agent process and its lease."""

    #: The worker's own, the same for as long as the process runs.
    worker_id: str
    agent: str
    #: From one counter in the store: a later lease has a higher number.
    epoch: int
    #: The highest sequence that was applied, stored in the transaction that applied it.
    applied_sequence: int = 0
    #: A file that the worker holds a lock on while it lives; empty where it has none.
    lock_path: str = ""

    @property
    def number(self) -> int:
        """The worker's part of the task ids that it makes: 1,024 leases in a row never share one."""
        return self.epoch % WORKER_NUMBERS
