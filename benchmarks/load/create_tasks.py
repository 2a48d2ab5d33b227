"""CreateTask at a steady rate: python -m benchmarks.load.create_tasks HOST:PORT --rate 100 --seconds 5.

An open loop: a call is sent when its time has come, whether or not the one before is answered. The last line is a JSON
object: how many were answered, and their latencies in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
import uuid

import grpc.aio
import uvloop

from benchmarks.load.latencies import figures
from outlast.v1.task_pb2 import Task
from outlast.v1.task_service_pb2 import CreateTaskRequest, WaitTaskRequest
from outlast.v1.task_service_pb2_grpc import TaskServiceStub

#: Calls before those that count: they connect, and are the first of their kind.
UNCOUNTED = 20


async def measure(options: argparse.Namespace) -> dict[str, float]:
    """Return what came of one load; every answer is a task that was made for its call."""
    # An agent of its own for each load, where none is at work: what waits from the one before does not count.
    agent = options.agent or f"nobody-{uuid.uuid4().hex[:8]}"
    count = UNCOUNTED + max(round(options.rate * options.seconds), 10)
    latest = 0.0
    names: set[str] = set()

    async with grpc.aio.insecure_channel(options.address) as channel:
        stub: TaskServiceStub = TaskServiceStub(channel)

        async def call(number: int) -> float:
            request = CreateTaskRequest(
                agent=agent,
                task_type="work",
                input='{"args":[],"kwargs":{}}',
                session_id=f"session-{number % 100}",
                request_id=f"request-{number}",
            )
            began = time.perf_counter()
            task: Task = await stub.CreateTask(request, timeout=30)
            taken = time.perf_counter() - began
            names.add(task.name)
            return taken

        await channel.channel_ready()
        calls: list[asyncio.Task[float]] = []
        start = time.perf_counter()
        for number in range(count):
            wait = start + number / options.rate - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            else:
                latest = max(latest, -wait)
            calls.append(asyncio.create_task(call(number)))
        latencies = await asyncio.gather(*calls)
        if options.agent:
            ended = await stub.WaitTask(WaitTaskRequest(name=max(names)))
            if ended.state != Task.COMPLETED:
                raise SystemExit(f"the agent did not complete {ended.name}: {ended}")
    if len(names) != count:
        raise SystemExit(f"{count:,} calls were answered with {len(names):,} tasks")
    if latest > options.late:
        raise SystemExit(f"a call was sent {latest:.2f} s late: the machine is too busy to measure")
    return figures(latencies[UNCOUNTED:])


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="HOST:PORT of a task manager")
    parser.add_argument("--rate", type=float, default=100.0, help="calls a second")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--late", type=float, default=0.25, help="seconds that a call may be sent late: else it fails")
    parser.add_argument("--agent", default="", help="whose tasks; by default nobody's, so that they wait")
    print(json.dumps(uvloop.run(measure(parser.parse_args()))))


if __name__ == "__main__":
    main()
