"""One worker's stream: operations are read ahead, committed in order, and answered once they are durable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from outlast.core.errors import InvalidField, OutlastError
from outlast.core.operation import Finish, Operation
from outlast.core.state import StateReason
from outlast.core.task import Task
from outlast.core.worker import Renewal
from outlast.v1 import worker_service_pb2 as pb
from outlast.wire.operations import operation_from_proto, results_to_proto
from outlast.wire.tasks import task_to_proto
from outlast.wire.times import duration_to_proto
from outlastd.stores.port import TaskStore
from outlastd.task_manager.batches import commit, ended_instead
from outlastd.task_manager.checks import check_operation
from outlastd.task_manager.projection import Publish
from outlastd.task_manager.renewals import Renewals
from outlastd.task_manager.scope import EVERYTHING, Scope

#: Batches that were read and whose answers have not been sent: beyond this the wire has to wait.
BATCHES_IN_FLIGHT = 16
#: Operations that are committed together, at the most, when several batches wait.
MERGED_OPERATIONS = 1_000


class StreamReplaced(Exception):
    """A newer stream of the same worker has taken over."""


class LeaseTaken(Exception):
    """The epoch of the stream is not the worker's any more: it has to connect again, and be told its new one."""


@dataclass(slots=True)
class Batch:
    """A message of operations, checked."""

    #: What was sent, in order: each is answered.
    sequences: list[int] = field(default_factory=list)
    #: What can be applied.
    operations: list[Operation] = field(default_factory=list)
    #: Why the others cannot.
    refusals: dict[int, OutlastError] = field(default_factory=dict)


class WorkerStream:
    """What goes up and down between a connected worker and the store (workers.Commands)."""

    def __init__(
        self,
        worker_id: str,
        store: TaskStore,
        renewals: Renewals,
        publish: Publish,
        commits: set[asyncio.Task[None]],
        on_heard: Callable[[bool], None],
        scope: Scope = EVERYTHING,
    ) -> None:
        """``commits`` holds what is being committed, for as long as it is: it may outlive the stream.

        ``on_heard`` is called whenever the worker says something, with whether it says that it drains. ``scope`` is
        whose tasks it may make.
        """
        self.worker_id = worker_id
        #: The epoch that the worker was welcomed with.
        self.epoch = 0
        self._store = store
        self._renewals = renewals
        self._publish = publish
        self._commits = commits
        self._on_heard = on_heard
        self._scope = scope
        self._slots = asyncio.Semaphore(BATCHES_IN_FLIGHT)
        self._batches: asyncio.Queue[Batch | None] = asyncio.Queue()
        #: What goes down; an exception ends the stream with it, None ends it well.
        self._outbox: asyncio.Queue[pb.ConnectResponse | Exception | None] = asyncio.Queue()
        #: The newest sign of life that is not answered.
        self._heartbeat: pb.Heartbeat | None = None
        self._reading: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._committing: asyncio.Task[None] | None = None

    def cancel(self, task_id: int, reason: str, *, ended: bool = False) -> None:
        """Ask the worker to stop a task, or, when it has ended, to let go of it."""
        command = pb.Command(cancel=pb.CancelCommand(task_id=task_id, reason=reason, ended=ended))
        self._outbox.put_nowait(pb.ConnectResponse(command=command))

    def run(self, task: Task) -> None:
        """Give the worker an attempt that is recorded as begun."""
        command = pb.Command(run=pb.RunCommand(task=task_to_proto(task)))
        self._outbox.put_nowait(pb.ConnectResponse(command=command))

    def end(self, error: Exception | None) -> None:
        """End the stream after what is on its way down: with an error, or well."""
        self._outbox.put_nowait(error)

    async def serve(
        self, requests: AsyncIterator[pb.ConnectRequest], write: Callable[[pb.ConnectResponse], Awaitable[None]]
    ) -> None:
        """Serve the stream until the worker hangs up; raise what else ended it."""
        self._reading = asyncio.create_task(self._read(requests))
        self._committing = asyncio.create_task(self._commit_all())
        self._commits.add(self._committing)
        self._committing.add_done_callback(self._commits.discard)
        try:
            while (response := await self._outbox.get()) is not None:
                if isinstance(response, Exception):
                    raise response
                await write(response)
                if response.HasField("results"):
                    self._slots.release()
        finally:
            await self._hang_up()

    async def replace(self) -> None:
        """End the stream in favour of a newer one; return when everything that it brought is committed."""
        self.end(StreamReplaced())
        await self._hang_up()

    async def _hang_up(self) -> None:
        """Read no more, and return when everything that has arrived is committed."""
        if self._renewing is not None:
            self._renewing.cancel()
        if self._reading is not None and self._committing is not None:
            self._reading.cancel()
            self._batches.put_nowait(None)
            await asyncio.wait([self._committing])

    async def _read(self, requests: AsyncIterator[pb.ConnectRequest]) -> None:
        try:
            async for request in requests:
                self._on_heard(request.heartbeat.draining)
                match request.WhichOneof("message"):
                    case "batch":
                        await self._slots.acquire()
                        self._batches.put_nowait(_checked(request.batch, self._scope))
                    case "heartbeat":
                        self._heard(request.heartbeat)
                    case _:
                        raise InvalidField("batch", "is missing: only the first message of a stream is a hello")
        except Exception as error:
            self.end(error)
        else:
            self._batches.put_nowait(None)

    def _heard(self, heartbeat: pb.Heartbeat) -> None:
        """Take a sign of life; what comes while one is being recorded is answered by the newest."""
        self._heartbeat = heartbeat
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        """Renew the lease and say so; nothing is said of a lease that is not on disk."""
        ttl = duration_to_proto(self._store.policy.lease_ttl)
        try:
            while (heartbeat := self._heartbeat) is not None:
                self._heartbeat = None
                if not await self._renewals.renew(Renewal(self.worker_id, self.epoch, heartbeat.draining)):
                    raise LeaseTaken
                self._outbox.put_nowait(pb.ConnectResponse(lease=pb.Lease(heartbeat=heartbeat.number, ttl=ttl)))
        except Exception as error:
            self.end(error)

    async def _commit_all(self) -> None:
        try:
            while batches := await self._next_batches():
                await self._commit(batches)
        except Exception as error:
            self.end(error)
        else:
            self.end(None)

    async def _next_batches(self) -> list[Batch]:
        """Return the batches that have arrived, at least one; none when no more will come.

        While one commit waits for the disk the next batches come in: together they cost one commit.
        """
        batches: list[Batch] = []
        size = 0
        while size < MERGED_OPERATIONS and (not batches or not self._batches.empty()):
            batch = await self._batches.get()
            if batch is None:
                self._batches.put_nowait(None)  # for the next call
                break
            batches.append(batch)
            size += len(batch.sequences)
        return batches

    async def _commit(self, batches: list[Batch]) -> None:
        refusals: dict[int, OutlastError] = {}
        operations = [operation for batch in batches for operation in batch.operations]
        if operations:
            async for applied in commit(self._store, self.worker_id, operations):
                self._publish(applied.changes)
                refusals |= applied.refusals
        for batch in batches:
            self._outbox.put_nowait(results_to_proto(batch.sequences, {**refusals, **batch.refusals}))


def _checked(message: pb.OperationBatch, scope: Scope) -> Batch:
    """Return a batch with each operation checked on its own: one that cannot be taken harms none of the others."""
    batch = Batch()
    for proto in message.operations:
        batch.sequences.append(proto.sequence)
        operation = None
        try:
            operation = operation_from_proto(proto)
            batch.operations.append(scope.apply_to(check_operation(operation)))
        except InvalidField as error:
            batch.refusals[proto.sequence] = error
            if operation is not None and isinstance(operation.action, Finish):
                # The task has ended all the same, though nobody can be told how.
                with suppress(InvalidField):
                    instead = ended_instead(operation, StateReason.RESULT_REFUSED, error)
                    batch.operations.append(check_operation(instead))
    return batch
