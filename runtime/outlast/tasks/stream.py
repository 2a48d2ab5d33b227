"""The worker stream: one bidirectional gRPC stream that carries this process's operations up and commands down.

Everything here runs on the services' loop. The ledger holds every operation until it is answered, so a break loses
nothing: the stream connects again and sends what has no answer, and the manager applies no sequence twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import grpc.aio

from outlast.core.errors import ErrorCode, OutlastError, TaskManagerUnavailable
from outlast.core.operation import Operation, Start
from outlast.core.task import Task
from outlast.tasks.acknowledgements import Acknowledgements
from outlast.tasks.channel import bearer
from outlast.tasks.ledger import Ledger
from outlast.telemetry.log import get_logger
from outlast.v1 import worker_service_pb2 as pb
from outlast.v1.worker_service_pb2_grpc import WorkerServiceStub
from outlast.wire.errors import from_rpc_error
from outlast.wire.operations import operation_to_proto, result_from_proto
from outlast.wire.tasks import task_from_proto

#: Operations and bytes in one message: enough for one commit to be worth it, small enough to decode quickly.
BATCH_OPERATIONS = 512
BATCH_BYTES = 1024 * 1024
#: Operations sent and not answered: bounds what the manager must hold for this worker.
MAX_IN_FLIGHT = 4_096
#: Seconds between attempts to connect: from the first to the longest, with jitter.
BACKOFF = (0.1, 2.0)
#: Seconds between looks whether something more is to be sent, at the end.
SETTLING = 0.005
#: Seconds in which a manager that took the connection has to say welcome.
WELCOME_TIMEOUT = 10.0


Call: TypeAlias = "grpc.aio.StreamStreamCall[pb.ConnectRequest, pb.ConnectResponse]"


@dataclass(frozen=True)
class WorkerIdentity:
    """Who this worker is, for the whole run of the process."""

    worker_id: str
    agent: str
    task_types: Sequence[str] = ()
    lock_path: str = ""


class WorkerStream:
    """Keeps one stream to the task manager open, for as long as the process runs."""

    def __init__(
        self,
        ledger: Ledger,
        channel: grpc.aio.Channel,
        identity: WorkerIdentity,
        *,
        address: str,
        token: str = "",
        run: Callable[[Task], None] | None = None,
    ) -> None:
        """``run`` begins an attempt of a submitted task; ``address`` is for messages only."""
        self._ledger = ledger
        self._stub = WorkerServiceStub(channel)
        self._identity = identity
        self._address = address
        self._token = token
        self._run_submitted = run
        self._log = get_logger()
        self._loop = asyncio.get_running_loop()
        self._work = asyncio.Event()
        self._woken = False
        self._acknowledgements = Acknowledgements()
        #: Why the manager cannot be relied on now; None while it can.
        self._outage: str | None = "it has not answered yet"
        self._told_outage = False
        #: After a break: the watermark at the welcome. Until it is answered the outage goes on.
        self._recovers_at = 0
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # -- what the front door and the composition root call ---------------------------------------------

    def start(self) -> None:
        """Begin to connect; comes back at once."""
        self._ledger.attach(self._wake)
        self._task = asyncio.create_task(self._keep_connected(), name="outlast worker stream")

    async def ready(self, timeout: float) -> None:
        """Return when the manager has answered everything so far. Raises TimeoutError after ``timeout`` seconds."""
        async with asyncio.timeout(timeout):
            await self._ready.wait()

    def available(self) -> None:
        """Return when tasks can be recorded now.

        Raises:
            TaskManagerUnavailable: they cannot; the message names the manager and why.
        """
        if self._outage is not None:
            raise TaskManagerUnavailable(f"the task manager at {self._address} is out of reach: {self._outage}")

    async def acknowledged(self, watermark: int, timeout: float) -> None:
        """Return when every operation up to ``watermark`` is answered; TimeoutError after ``timeout`` seconds."""
        await self._acknowledgements.reached(watermark, timeout)

    async def close(self, timeout: float) -> None:
        """Wait up to ``timeout`` seconds until everything is answered, then hang up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not self._ledger.settled:  # the answer to a start may let the task's end follow
                    await self.acknowledged(self._ledger.watermark, timeout)
                    await asyncio.sleep(SETTLING)
        self._ledger.detach()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # -- inside ----------------------------------------------------------------------------------------

    def _wake(self) -> None:
        """On any thread, with the ledger's lock held: have the sender look, once for as many operations as come."""
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
                self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        self._woken = False
        self._work.set()

    async def _keep_connected(self) -> None:
        delay = BACKOFF[0]
        while True:
            try:
                await self._converse()
                reason = "it ended the stream"
            except grpc.aio.AioRpcError as error:
                reason = str(from_rpc_error(error))
            except TimeoutError:
                reason = f"it did not answer within {WELCOME_TIMEOUT:.0f} s"
            except Exception as error:  # a bug must not end the stream for good: the ledger would fill up unseen
                self._log.error("worker stream failed", error=error)
                reason = f"{type(error).__name__}: {error}"
            delay = BACKOFF[0] if self._outage is None else min(delay * 2, BACKOFF[1])
            self._went_down(reason)
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))

    async def _converse(self) -> None:
        """Hold one stream until it breaks."""
        call = self._stub.Connect(metadata=bearer(self._token))
        try:
            async with asyncio.timeout(WELCOME_TIMEOUT):
                await call.write(pb.ConnectRequest(hello=self._hello()))
                response = await call.read()
            if not isinstance(response, pb.ConnectResponse):  # grpc.aio.EOF
                return
            self._welcomed(response.welcome)
            await self._exchange(call)
        finally:
            call.cancel()

    async def _exchange(self, call: Call) -> None:
        """Send and receive at once until the stream breaks; raises what the receiver says of the break."""
        sender, receiver = asyncio.create_task(self._send(call)), asyncio.create_task(self._receive(call))
        try:
            await asyncio.wait([sender, receiver], return_when=asyncio.FIRST_COMPLETED)
            if sender.done():
                sender.result()
            await receiver
        finally:
            sender.cancel()
            receiver.cancel()
            await asyncio.gather(sender, receiver, return_exceptions=True)

    def _hello(self) -> pb.Hello:
        who = self._identity
        return pb.Hello(worker_id=who.worker_id, agent=who.agent, task_types=who.task_types, lock_path=who.lock_path)

    async def _receive(self, call: Call) -> None:
        while isinstance(response := await call.read(), pb.ConnectResponse):  # else grpc.aio.EOF
            self._received(response)

    async def _send(self, call: Call) -> None:
        """Send what the ledger holds, at once: no time window; batches form while the last one is on its way.

        Comes back when the stream is broken: the receiver knows why.
        """
        while True:
            self._work.clear()
            while self._ledger.in_flight < MAX_IN_FLIGHT:
                batch = self._ledger.take(BATCH_OPERATIONS, BATCH_BYTES)
                if not batch:
                    break
                message = pb.OperationBatch(operations=[operation_to_proto(operation) for operation in batch])
                try:
                    await call.write(pb.ConnectRequest(batch=message))
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    return
            await self._work.wait()

    def _welcomed(self, welcome: pb.Welcome) -> None:
        self._ledger.renumber(welcome.worker_number)
        self._ledger.answer(welcome.applied_sequence)
        self._ledger.rewind()
        self._recovers_at = self._ledger.watermark
        self._advance()

    def _received(self, response: pb.ConnectResponse) -> None:
        match response.WhichOneof("message"):
            case "results":
                for sequence, refusal in map(result_from_proto, response.results.results):
                    operation = self._ledger.answer(sequence)
                    if refusal is not None and operation is not None:
                        self._refused(operation, refusal)
                self._advance()
                self._work.set()
            case "command":
                self._commanded(response.command)

    def _advance(self) -> None:
        """Wake whoever waited for the operations that are answered now, and note the end of an outage."""
        answered = self._ledger.answered
        self._acknowledgements.advance(answered)
        if self._outage is not None and answered >= self._recovers_at:
            self._outage = None
            self._ready.set()
            if self._told_outage:
                self._told_outage = False
                self._log.info("task manager is back", address=self._address)

    def _went_down(self, reason: str) -> None:
        self._outage = reason
        self._ready.clear()
        if not self._told_outage:
            self._told_outage = True
            self._log.warning("task manager is out of reach", address=self._address, reason=reason)

    def _refused(self, operation: Operation, error: OutlastError) -> None:
        """An operation is refused for good; a task whose start is refused is nobody's, so its code is told to stop."""
        self._log.error("operation refused", taskId=str(operation.task_id), code=error.code, reason=error.message)
        if isinstance(operation.action, Start) or error.code is ErrorCode.LEASE_LOST:
            task = self._ledger.get(operation.task_id)
            if task is not None:
                task.interrupt()

    def _commanded(self, command: pb.Command) -> None:
        match command.WhichOneof("command"):
            case "cancel":
                task = self._ledger.get(command.cancel.task_id)
                if task is not None:
                    task.cancel()
            case "run":
                if self._run_submitted is not None:
                    self._run_submitted(task_from_proto(command.run.task))
