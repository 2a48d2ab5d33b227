"""Gathers the batches of many workers into groups that are committed together.

A transaction costs the same whether it carries one operation or a hundred: most of what a small batch costs is its
round trip and its commit. There is no window to wait for: while a group is on its way, the next one gathers by itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from outlast.core.operation import Operation
from outlastd.stores.port import Applied
from outlastd.stores.postgres_pool import ConnectionPool

#: Groups on their way at a time: while the server works on one, the next is decided here.
GROUPS = 2
#: Operations of a group of several batches at the most, and roughly their bytes: what it costs falls no further, and
#: whoever is in it waits for all of it.
MAX_OPERATIONS = 250
MAX_BYTES = 1024 * 1024


class Part:
    """A batch of one worker, and the future of who waits for it."""

    __slots__ = ("answer", "bytes", "operations", "worker_id")

    def __init__(self, worker_id: str, operations: Sequence[Operation]) -> None:
        self.worker_id = worker_id
        self.operations = operations
        #: Of no use where the operations alone are more than a group takes.
        self.bytes = 0 if len(operations) > MAX_OPERATIONS else sum(operation.size for operation in operations)
        self.answer: asyncio.Future[Applied] = asyncio.get_running_loop().create_future()

    def end(self, outcome: Applied | BaseException) -> None:
        """Tell who waits, if anybody still does, what became of it."""
        if self.answer.done():
            return
        if isinstance(outcome, BaseException):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


#: Applies parts together and returns those that have to go alone; ends the others, or raises what ends them all.
Serve = Callable[[Sequence[Part]], Awaitable[Sequence[Part]]]


class Groups:
    """Hands groups of parts on, no two of one worker at a time: its batches go one after the other, as they came."""

    def __init__(self, pool: ConnectionPool, together: Serve, alone: Serve) -> None:
        """``alone`` is given what ``together`` returns, one at a time, and returns nothing."""
        self._pool = pool
        self._together = together
        self._alone = alone
        self._waiting: deque[Part] = deque()
        #: The workers that have a part on its way.
        self._busy: set[str] = set()
        #: How many groups are.
        self._groups = 0

    async def apply(self, worker_id: str, operations: Sequence[Operation]) -> Applied:
        """Return what became of a batch, which is applied whether or not the caller still waits.

        Raises:
            StoreUnavailable: the store is closed; or, as what else is raised, the port has it.
        """
        self._pool.check_open()
        part = Part(worker_id, operations)
        self._waiting.append(part)
        self._start()
        return await part.answer

    def _start(self) -> None:
        if self._groups < GROUPS and any(part.worker_id not in self._busy for part in self._waiting):
            self._groups += 1
            self._pool.start(self._run_group())

    async def _run_group(self) -> None:
        parts = self._take()  # not before the first step: what comes in the same turn of the loop goes along
        try:
            # One that has to go alone may have to wait for somebody else, and is no longer of the group.
            for part in await self._run(self._together, parts):
                self._busy.add(part.worker_id)
                self._pool.start(self._run(self._alone, [part]))
        finally:
            self._groups -= 1
            self._start()

    async def _run(self, serve: Serve, parts: Sequence[Part]) -> Sequence[Part]:
        try:
            return await serve(parts) if parts else ()
        except BaseException as error:
            for part in parts:
                part.end(error)
            raise
        finally:
            self._busy.difference_update([part.worker_id for part in parts])
            self._start()

    def _take(self) -> Sequence[Part]:
        """Return the parts that have waited longest, as many as go together; at least one where one may go."""
        taken: list[Part] = []
        later: list[Part] = []
        operations = size = 0
        while self._waiting:
            part = self._waiting.popleft()
            if part.worker_id in self._busy:
                later.append(part)
                continue
            operations += len(part.operations)
            size += part.bytes
            if taken and (operations > MAX_OPERATIONS or size > MAX_BYTES):
                later.append(part)
                break
            taken.append(part)
            self._busy.add(part.worker_id)
        self._waiting.extendleft(reversed(later))
        return taken
