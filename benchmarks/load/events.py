"""A worker whose tasks report progress at a steady rate: python -m benchmarks.load.events HOST:PORT --tasks 1000.

Begins the tasks and says their ids. Then a line ``{"events": 5000, "rate": 1000}`` has it report so often, task by task
in turn, each report with the time by ``time.monotonic_ns()`` as its message, and say when all are committed how late
the latest was sent. Reports whose time has come together go in one message, as an agent sends them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator

import grpc.aio
import uvloop

from outlast.core.task_id import TaskIdSequence
from outlast.v1 import worker_service_pb2 as pb
from outlast.v1.worker_service_pb2_grpc import WorkerServiceStub

#: Operations of a message at the most.
BATCH = 100


class Source:
    """The worker's stream."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._requests: asyncio.Queue[pb.ConnectRequest] = asyncio.Queue()
        self._hello = pb.ConnectRequest(hello=pb.Hello(worker_id=uuid.uuid4().hex[:16], agent="bench"))
        self._answered = asyncio.Event()
        self._sequence = self._applied = 0
        stub = WorkerServiceStub(channel)
        self._responses = aiter(stub.Connect(self._up()))

    async def welcome(self) -> int:
        """Return the worker's number once the stream stands; what is answered from then on is counted."""
        welcome = await anext(self._responses)
        self._reading = asyncio.create_task(self._read())
        return int(welcome.welcome.worker_number)

    def send(self, operations: list[pb.Operation]) -> None:
        """Send operations on their way."""
        for operation in operations:
            self._sequence += 1
            operation.sequence = self._sequence
        self._requests.put_nowait(pb.ConnectRequest(batch=pb.OperationBatch(operations=operations)))

    async def committed(self) -> None:
        """Return when everything that was sent is committed."""
        while self._applied < self._sequence:
            if self._reading.done():
                await self._reading
            self._answered.clear()
            await self._answered.wait()

    async def _up(self) -> AsyncIterator[pb.ConnectRequest]:
        yield self._hello
        while True:
            yield await self._requests.get()

    async def _read(self) -> None:
        try:
            async for response in self._responses:
                for result in response.results.results:
                    if result.HasField("error"):
                        raise SystemExit(f"an operation was refused: {result.error.message}")
                    self._applied = result.sequence
                self._answered.set()
            raise SystemExit("the stream has ended")
        finally:
            self._answered.set()


async def run(options: argparse.Namespace) -> None:
    """Begin the tasks, then report whenever a line asks for it."""
    loop = asyncio.get_running_loop()
    async with grpc.aio.insecure_channel(options.address) as channel:
        source = Source(channel)
        ids = TaskIdSequence(await source.welcome())
        task_ids = [ids.next(time.time_ns() // 1_000_000) for _ in range(options.tasks)]
        for first in range(0, len(task_ids), BATCH):
            source.send([_start(task_id) for task_id in task_ids[first : first + BATCH]])
        await source.committed()
        print(json.dumps(task_ids), flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            asked = json.loads(line)
            late = await _report(source, task_ids, asked["events"], asked["rate"])
            await source.committed()
            print(json.dumps({"late": late}), flush=True)


async def _report(source: Source, task_ids: list[int], events: int, rate: float) -> float:
    """Report so often; return by how many seconds the latest report was late."""
    began = time.perf_counter()
    sent, latest = 0, 0.0
    while sent < events:
        due = min(int((time.perf_counter() - began) * rate) + 1, events)
        if due == sent:
            await asyncio.sleep(began + sent / rate - time.perf_counter())
            continue
        latest = max(latest, time.perf_counter() - began - sent / rate)
        source.send([_progress(task_ids[number % len(task_ids)]) for number in range(sent, due)])
        sent = due
        await asyncio.sleep(0)
    return latest


def _start(task_id: int) -> pb.Operation:
    operation = pb.Operation(task_id=task_id, attempt=1)
    operation.operation_time.GetCurrentTime()
    operation.start.task_type = "watched"
    operation.start.session_id = f"session-{task_id % 100}"
    return operation


def _progress(task_id: int) -> pb.Operation:
    operation = pb.Operation(task_id=task_id, attempt=1)
    operation.operation_time.GetCurrentTime()
    operation.progress.progress.fraction = 0.5
    operation.progress.progress.message = str(time.monotonic_ns())
    return operation


def main() -> None:
    """Parse the command line and run until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="HOST:PORT of a task manager")
    parser.add_argument("--tasks", type=int, default=1)
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
