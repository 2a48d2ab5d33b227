"""GetTask and ListTasks, one call at a time: python -m benchmarks.load.lookups HOST:PORT HOST:PORT --page 1000.

On standard input first a JSON array for each task manager: ids of its tasks. Walks through the lists to the page,
checks that they are in order, and says how many tasks it has seen. Then a number on a line has it make so many calls
of each kind to each task manager, by turns, and say their latencies in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Awaitable, Iterator
from itertools import cycle
from typing import TypeVar

import grpc.aio
import uvloop

from benchmarks.load.latencies import figures
from outlast.v1.task_pb2 import Task
from outlast.v1.task_service_pb2 import GetTaskRequest, ListTasksRequest, ListTasksResponse
from outlast.v1.task_service_pb2_grpc import TaskServiceStub

T = TypeVar("T")

#: Tasks on a page.
PAGE_SIZE = 10


class Lookups:
    """The calls to one task manager."""

    def __init__(self, address: str, task_ids: list[int]) -> None:
        self._channel = grpc.aio.insecure_channel(address)
        self._stub: TaskServiceStub = TaskServiceStub(self._channel)
        self._names: Iterator[str] = cycle([f"tasks/{task_id}" for task_id in task_ids])
        #: Asks for the page that is far.
        self._token = ""
        self.seconds: dict[str, list[float]] = {}

    async def walk(self, page: int) -> int:
        """Go to a page, counted from 1; return how many tasks were on those before."""
        seen = 0
        last: tuple[int, int] | None = None
        for _ in range(page - 1):
            answer = await self._page(self._token)
            for task in answer.tasks:
                place = (task.create_time.ToMicroseconds(), task.task_id)
                if last is not None and place >= last:
                    raise SystemExit(f"{task.name} is out of order")
                last = place
            seen += len(answer.tasks)
            self._token = answer.next_page_token
        return seen

    async def call(self) -> None:
        """Make one call of each kind."""
        name = next(self._names)
        task = await self._timed("get", self._stub.GetTask(GetTaskRequest(name=name), timeout=30))
        if task.name != name or task.state != Task.COMPLETED:
            raise SystemExit(f"{name} was asked for, and {task} answered")
        for kind, token in (("first", ""), ("far", self._token)):
            page = await self._timed(kind, self._page(token))
            if len(page.tasks) != PAGE_SIZE:
                raise SystemExit(f"a page has {len(page.tasks)} tasks")

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close()

    async def _timed(self, kind: str, call: Awaitable[T]) -> T:
        began = time.perf_counter()
        answer = await call
        self.seconds.setdefault(kind, []).append(time.perf_counter() - began)
        return answer

    async def _page(self, token: str) -> ListTasksResponse:
        return await self._stub.ListTasks(ListTasksRequest(page_size=PAGE_SIZE, page_token=token), timeout=30)


async def run(options: argparse.Namespace) -> None:
    """Walk to the page, then measure whenever a line asks for it."""
    each = [Lookups(address, json.loads(sys.stdin.readline())) for address in options.addresses]
    print(json.dumps([await lookups.walk(options.page) for lookups in each]), flush=True)
    while line := sys.stdin.readline():
        for lookups in each:
            lookups.seconds = {}
        for _ in range(json.loads(line)):
            for lookups in each:
                await lookups.call()
        found = [{kind: figures(taken) for kind, taken in lookups.seconds.items()} for lookups in each]
        print(json.dumps(found), flush=True)
    for lookups in each:
        await lookups.close()


def main() -> None:
    """Parse the command line and run until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("addresses", nargs="+", help="HOST:PORT of a task manager")
    parser.add_argument("--page", type=int, default=1_000, help="the page that is far, counted from 1")
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
