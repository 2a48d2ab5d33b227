"""The worker stream: one bidirectional stream that carries this process's operations up and commands down.

It goes over gRPC; to a task manager in this very process, in memory (outlastd.task_manager.own_stream). Everything here
runs on the services' loop. The ledger holds every operation until it is answered, so a break loses nothing: the stream
connects again and sends what has no answer, and the manager applies no sequence twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

import grpc.aio

from outlast.core.task import Task
from outlast.core.value import value
from outlast.tasks.acknowledgements import Acknowledgements
from outlast.tasks.channel import Replicas, bearer
from outlast.tasks.lease import WorkerLease
from outlast.tasks.ledger import Ledger
from outlast.tasks.orders import Orders
from outlast.tasks.pauses import LONGEST_PAUSE, Pauses
from outlast.tasks.pulse import Pulse, Silence
from outlast.tasks.reach import Reach
from outlast.telemetry.log import get_logger
from outlast.v1 import worker_service_pb2 as pb
from outlast.v1.worker_service_pb2_grpc import WorkerServiceStub
from outlast.wire.errors import from_rpc_error
from outlast.wire.operations import batch_to_proto, result_from_proto
from outlast.wire.tasks import task_from_proto
from outlast.wire.times import duration_from_proto

#: Seconds between looks whether something more is to be sent, at the end.
SETTLING = 0.005
#: Seconds in which a manager that took the connection has to say welcome: the most, and the least under a short lease.
WELCOME_TIMEOUT = 10.0
SHORT_WELCOME_TIMEOUT = 1.0


class Call(Protocol):
    """An open stream: what is used here of ``grpc.aio.StreamStreamCall``."""

    async def write(self, request: pb.ConnectRequest, /) -> None:
        """Send a message, or raise AioRpcError or InvalidStateError when the stream is broken."""
        ...

    async def read(self) -> object:
        """Return the next ConnectResponse, grpc.aio.EOF after the last, or raise AioRpcError."""
        ...

    def cancel(self) -> bool:
        """Break the stream."""
        ...


@value(frozen=True, slots=True)
class WorkerIdentity:
    """Who this worker is, for the whole run of the process."""

    worker_id: str
    agent: str
    task_types: Sequence[str] = ()
    lock_path: str = ""
    #: The session that it is bound to; empty when it runs any.
    session_id: str = ""
    #: How many tasks it runs before it is given no more; 0 for no bound.
    max_tasks: int = 0


class WorkerStream:
    """Keeps one stream to the task manager open, for as long as the process runs."""

    def __init__(
        self,
        ledger: Ledger,
        replicas: Replicas,
        identity: WorkerIdentity,
        *,
        address: str = "",
        token: str = "",
        run: Callable[[Task], None],
        lease: WorkerLease | None = None,
        connect: Callable[[], Call] | None = None,
    ) -> None:
        """``run`` begins an attempt that the manager gives to this worker; ``address`` is for messages only.

        ``connect`` opens a stream to a task manager in this process; without it the stream goes over gRPC.
        """
        self._ledger = ledger
        self._replicas = replicas
        self._identity = identity
        self._token = token
        self._connect = connect or self._connect_by_grpc
        self._log = get_logger()
        self._loop = asyncio.get_running_loop()
        self._work = asyncio.Event()
        self._woken = False
        self._acknowledgements = Acknowledgements()
        self._reach = Reach(address or replicas.address)
        self._orders = Orders(ledger, run)
        self._pulse = Pulse(lease or WorkerLease(), self._work.set, self._orders.cut_off)
        self._report_timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    # -- what the front door and the composition root call ---------------------------------------------

    def start(self) -> None:
        """Begin to connect; comes back at once."""
        self._ledger.attach(self._wake)
        self._task = asyncio.create_task(self._keep_connected(), name="outlast worker stream")

    async def ready(self, timeout: float) -> None:
        """Return when the manager has answered everything so far. Raises TimeoutError after ``timeout`` seconds."""
        async with asyncio.timeout(timeout):
            await self._reach.ready()

    def available(self) -> None:
        """Return when tasks can be recorded now.

        Raises:
            TaskManagerUnavailable: they cannot; the message names the manager and why.
        """
        self._reach.check()

    async def acknowledged(self, watermark: int, timeout: float) -> None:
        """Return when every operation up to ``watermark`` is answered; TimeoutError after ``timeout`` seconds."""
        await self._acknowledgements.reached(watermark, timeout)

    async def drain(self, timeout: float) -> None:
        """Take no new work; return when the manager has that on disk, or after ``timeout`` seconds (promise 6)."""
        self._drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._pulse.draining_known.wait()

    async def settled(self) -> None:
        """Return when everything that was queued is answered: not before the task manager is there."""
        while not self._ledger.settled:  # the answer to a start may let the task's end follow
            await self._acknowledgements.reached(self._ledger.watermark, None)
            await asyncio.sleep(SETTLING)

    async def close(self, timeout: float) -> None:
        """Wait up to ``timeout`` seconds until everything is answered, then hang up."""
        try:
            async with asyncio.timeout(timeout):
                await self.settled()
        except TimeoutError:
            left = self._ledger.watermark - self._ledger.answered
            self._log.error("what the task manager has not confirmed is lost", operations=left)
        self._ledger.detach()
        self._pulse.close()
        if self._report_timer is not None:
            self._report_timer.cancel()
        await self.hang_up()

    async def hang_up(self) -> None:
        """End the stream, answered or not; without a word where it has ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # -- what wakes it ---------------------------------------------------------------------------------

    def _wake(self) -> None:
        """On any thread, with the ledger's lock held: have the sender look, once for as many operations as come."""
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
                self._loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        self._woken = False
        self._work.set()
        if self._report_timer is None:
            self._send_held_reports()

    def _send_held_reports(self) -> None:
        seconds = self._ledger.send_held_reports()
        self._report_timer = None if seconds is None else self._loop.call_later(seconds, self._send_held_reports)

    def _drain(self) -> None:
        self._ledger.draining = True
        self._pulse.ask()

    # -- the stream ------------------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        pauses = Pauses()
        while True:
            try:
                await self._converse()
                reason = "it ended the stream"
            except grpc.aio.AioRpcError as error:
                reason = str(from_rpc_error(error))
            except TimeoutError:
                reason = f"it did not answer within {self._welcome_timeout():.0f} s"
            except Silence as error:
                reason = str(error)
            except Exception as error:  # a bug must not end the stream for good: the ledger would fill up unseen
                self._log.error("worker stream failed", error=error)
                reason = f"{type(error).__name__}: {error}"
            self._pulse.broken()
            self._replicas.move_on()
            if self._reach.outage is None:
                pauses.over()
            self._reach.lost(reason)
            await pauses.pause(self._longest_pause())

    def _welcome_timeout(self) -> float:
        """Return how many seconds a welcome may take: the lease must not run out while one replica of many is mute."""
        return min(WELCOME_TIMEOUT, max(self._pulse.lease.ttl or WELCOME_TIMEOUT, SHORT_WELCOME_TIMEOUT))

    def _longest_pause(self) -> float:
        return min(LONGEST_PAUSE, (self._pulse.lease.ttl or LONGEST_PAUSE) / 3)

    def _connect_by_grpc(self) -> Call:
        return WorkerServiceStub(self._replicas.current).Connect(metadata=bearer(self._token))

    async def _converse(self) -> None:
        """Hold one stream until it breaks."""
        call = self._connect()
        try:
            async with asyncio.timeout(self._welcome_timeout()):
                said_at, hello = self._pulse.lease.now(), self._hello()
                await call.write(pb.ConnectRequest(hello=hello))
                response = await call.read()
            if not isinstance(response, pb.ConnectResponse):  # grpc.aio.EOF
                return
            self._welcomed(response.welcome, hello, said_at)
            await self._exchange(call)
        finally:
            call.cancel()

    def _hello(self) -> pb.Hello:
        who = self._identity
        return pb.Hello(
            worker_id=who.worker_id,
            agent=who.agent,
            task_types=who.task_types,
            lock_path=who.lock_path,
            session_id=who.session_id,
            max_tasks=who.max_tasks,
            draining=self._ledger.draining,
        )

    def _welcomed(self, welcome: pb.Welcome, hello: pb.Hello, said_at: float) -> None:
        ttl = duration_from_proto(welcome.lease_ttl, "lease_ttl") if welcome.HasField("lease_ttl") else None
        self._pulse.welcomed(None if ttl is None else ttl.total_seconds(), said_at=said_at, draining=hello.draining)
        self._ledger.renumber(welcome.worker_number)
        self._orders.welcomed(welcome.epoch, welcome.lost_sequence)
        self._ledger.answer(welcome.applied_sequence)
        self._ledger.rewind()
        self._reach.welcomed(self._ledger.watermark)
        self._advance()

    async def _exchange(self, call: Call) -> None:
        """Send and receive at once until the stream breaks; raises what the receiver says of the break."""
        sender, receiver = asyncio.create_task(self._send(call)), asyncio.create_task(self._receive(call))
        given_up = self._pulse.given_up
        try:
            await asyncio.wait([sender, receiver, given_up], return_when=asyncio.FIRST_COMPLETED)
            if given_up.done():
                given_up.result()
            if sender.done():
                sender.result()
            await receiver
        finally:
            sender.cancel()
            receiver.cancel()
            await asyncio.gather(sender, receiver, return_exceptions=True)

    async def _receive(self, call: Call) -> None:
        while isinstance(response := await call.read(), pb.ConnectResponse):  # else grpc.aio.EOF
            self._received(response)

    async def _send(self, call: Call) -> None:
        """Send what the ledger holds, at once: no time window; a batch forms while the last one is on its way.

        Comes back when the stream is broken: the receiver knows why.
        """
        while True:
            self._work.clear()
            while (request := self._next_request()) is not None:
                try:
                    await call.write(request)
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    return
            await self._work.wait()

    def _next_request(self) -> pb.ConnectRequest | None:
        """Return what is to be sent now, a sign of life first; None when there is nothing."""
        if self._pulse.due:
            draining, live = self._ledger.draining, len(self._ledger.live())
            number = self._pulse.beat(draining=draining)
            return pb.ConnectRequest(heartbeat=pb.Heartbeat(number=number, draining=draining, live_tasks=live))
        batch = self._ledger.next_batch()
        return batch_to_proto(batch) if batch else None

    # -- what comes down -------------------------------------------------------------------------------

    def _received(self, response: pb.ConnectResponse) -> None:
        match response.WhichOneof("message"):
            case "results":
                self._answered(response.results)
            case "lease":
                lease = response.lease
                self._pulse.renewed(lease.heartbeat, duration_from_proto(lease.ttl, "ttl").total_seconds() or None)
            case "command":
                self._commanded(response.command)

    def _answered(self, results: pb.OperationResults) -> None:
        """Take the answers to operations, which come in the order of their sequence."""
        sequence = 0
        for sequence, refusal in map(result_from_proto, results.results):
            if refusal is not None and (operation := self._ledger.answer(sequence)):
                self._orders.refused(operation, refusal)
        self._ledger.answer(sequence)
        # Those who waited come first. The other way round the store works while their answers are written, and the two
        # threads fight for the interpreter: a tenth of the rate (measured with an embedded task manager).
        self._advance()
        self._work.set()

    def _advance(self) -> None:
        """Wake whoever waited for the operations that are answered now, and note the end of an outage."""
        answered = self._ledger.answered
        self._acknowledgements.advance(answered)
        self._reach.answered(answered)

    def _commanded(self, command: pb.Command) -> None:
        match command.WhichOneof("command"):
            case "cancel" if command.cancel.ended:
                self._orders.let_go(command.cancel.task_id, command.cancel.reason)
            case "cancel":
                self._orders.cancel(command.cancel.task_id)
            case "run":
                self._orders.run(task_from_proto(command.run.task))
            case "drain":
                self._drain()
