"""Whole task lifecycles over WorkerService: python -m benchmarks.load.lifecycles HOST:PORT --lifecycles 20000.

Each worker is one stream. Its messages are made before the clock runs, so what is measured is the task manager. The
last line is a JSON object: what was asked for, when it began by this machine's monotonic clock, and how many lifecycles
were committed in how many seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator

import grpc.aio
import uvloop
from google.protobuf.timestamp_pb2 import Timestamp

from outlast.core.task_id import TaskIdSequence
from outlast.v1 import task_pb2
from outlast.v1 import worker_service_pb2 as pb

#: Operations of one lifecycle: a start, three reports of progress, an end.
STEPS = 5
#: Messages of one worker that wait for their answers, at the most; the manager itself takes 16.
IN_FLIGHT = 8
#: A trace of the load's own for each task, sampled, so that each has its span.
_TRACEPARENT = "00-{trace:032x}-00f067aa0ba902b7-01"

_bytes = bytes  # what serialises and reads: messages are bytes already


class Worker:
    """One worker: its messages, and its stream."""

    def __init__(self, number: int, options: argparse.Namespace) -> None:
        self._hello = pb.ConnectRequest(hello=pb.Hello(worker_id=uuid.uuid4().hex[:16], agent=f"load-{number}"))
        self._options = options
        self._ids = TaskIdSequence(number)
        self._sequence = 0
        #: Serialised ConnectRequests, and the highest sequence in each.
        self.messages: list[bytes] = []
        self.last: list[int] = []
        self.refused: list[str] = []

    def prepare(self, lifecycles: int) -> None:
        """Make the messages of so many lifecycles."""
        steps = self._staggered(lifecycles) if self._options.staggered else self._whole(lifecycles)
        batch: list[pb.Operation] = []
        for task_id, step in steps:
            batch.append(self._operation(task_id, step))
            if len(batch) == self._options.operations:
                self._add(batch)
                batch = []
        if batch:
            self._add(batch)

    def _whole(self, lifecycles: int) -> Iterator[tuple[int, int]]:
        """Tasks that end at once: a message has whole lifecycles, in the order start, start, …, progress, …"""
        group = max(self._options.operations // STEPS, 1)
        for first in range(0, lifecycles, group):
            ids = [self._next_id() for _ in range(min(group, lifecycles - first))]
            yield from ((task_id, step) for step in range(STEPS) for task_id in ids)

    def _staggered(self, lifecycles: int) -> Iterator[tuple[int, int]]:
        """Tasks that last: each operation of one comes in another message than the one before."""
        window = max(self._options.operations, 1)
        for first in range(0, lifecycles, window):
            ids = [self._next_id() for _ in range(min(window, lifecycles - first))]
            yield from ((task_id, step) for step in range(STEPS) for task_id in ids)

    def _next_id(self) -> int:
        return self._ids.next(time.time_ns() // 1_000_000)

    def _operation(self, task_id: int, step: int) -> pb.Operation:
        self._sequence += 1
        now = Timestamp()
        now.GetCurrentTime()
        operation = pb.Operation(sequence=self._sequence, task_id=task_id, operation_time=now, attempt=1)
        if step == 0:
            operation.start.task_type = "research"
            operation.start.session_id = f"session-{task_id % 100}"
            operation.start.request_id = f"request-{task_id}"
            if not self._options.no_spans:
                operation.start.trace_context.traceparent = _TRACEPARENT.format(trace=task_id)
        elif step == STEPS - 1:
            operation.finish.state = task_pb2.Task.COMPLETED
            operation.finish.result = '{"answer":42}'
        else:
            operation.progress.progress.fraction = step / STEPS
            operation.progress.progress.message = f"step {step}"
            operation.progress.progress.report_time.CopyFrom(now)
        return operation

    def _add(self, batch: list[pb.Operation]) -> None:
        self.messages.append(pb.ConnectRequest(batch=pb.OperationBatch(operations=batch)).SerializeToString())
        self.last.append(batch[-1].sequence)

    async def run(self, channel: grpc.aio.Channel, ready: asyncio.Barrier) -> None:
        """Say hello, wait for the others, send everything and wait for every answer."""
        slots = asyncio.Semaphore(IN_FLIGHT)
        welcomed, done = asyncio.Event(), asyncio.Event()

        async def requests() -> AsyncIterator[bytes]:
            yield self._hello.SerializeToString()
            await welcomed.wait()
            for message in self.messages:
                await slots.acquire()
                yield message
            await done.wait()

        connect = channel.stream_stream(
            "/outlast.v1.WorkerService/Connect",
            request_serializer=_bytes,
            response_deserializer=pb.ConnectResponse.FromString,
        )
        metadata = [("authorization", f"Bearer {self._options.token}")] if self._options.token else None
        position = 0
        async for response in connect(requests(), metadata=metadata):
            if response.HasField("welcome"):
                await ready.wait()
                welcomed.set()
            elif response.HasField("results"):
                results = response.results.results
                self.refused += [result.error.message for result in results if result.HasField("error")]
                while position < len(self.last) and self.last[position] <= results[-1].sequence:
                    position += 1
                    slots.release()
                if position == len(self.last):
                    done.set()
        if position < len(self.last):
            raise SystemExit("the stream ended before every operation was answered")


async def measure(options: argparse.Namespace) -> dict[str, object]:
    """Return what came of one load."""
    workers = [Worker(number, options) for number in range(options.workers)]
    share = options.lifecycles // len(workers)
    for worker in workers:
        worker.prepare(share)
    ready = asyncio.Barrier(len(workers) + 1)
    # A subchannel pool of its own: each worker has its connection, as each agent process has.
    channels = [
        grpc.aio.insecure_channel(options.address, options=[("grpc.use_local_subchannel_pool", 1)]) for _ in workers
    ]
    running = [
        asyncio.create_task(worker.run(channel, ready)) for worker, channel in zip(workers, channels, strict=True)
    ]
    await ready.wait()
    began = time.perf_counter()
    await asyncio.gather(*running)
    seconds = time.perf_counter() - began
    for channel in channels:
        await channel.close()
    refused = [why for worker in workers for why in worker.refused]
    if refused:
        raise SystemExit(f"{len(refused)} operations were refused, the first: {refused[0]}")
    lifecycles = share * len(workers)
    return {"lifecycles": lifecycles, "began": began, "seconds": seconds, "per_second": lifecycles / seconds}


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="HOST:PORT of a task manager")
    parser.add_argument("--lifecycles", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--operations", type=int, default=100, help="operations in a message")
    parser.add_argument("--staggered", action="store_true", help="no message has two operations of one task")
    parser.add_argument("--no-spans", action="store_true", help="tasks are not sampled")
    parser.add_argument("--token", default="", help="the worker token, where one is asked for")
    print(json.dumps(uvloop.run(measure(parser.parse_args()))))


if __name__ == "__main__":
    main()
