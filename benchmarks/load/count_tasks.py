"""How many tasks are at work: python -m benchmarks.load.count_tasks HOST:PORT. Says the number."""

from __future__ import annotations

import asyncio
import json
import sys

import grpc.aio

from outlast.v1.task_pb2 import Task
from outlast.v1.task_service_pb2 import ListTasksRequest
from outlast.v1.task_service_pb2_grpc import TaskServiceStub


async def count(address: str) -> int:
    """Return how many are in the list of those that are WORKING."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: TaskServiceStub = TaskServiceStub(channel)
        found, token = 0, ""
        while True:
            request = ListTasksRequest(states=[Task.WORKING], page_size=1_000, page_token=token)
            page = await stub.ListTasks(request, timeout=60)
            found += len(page.tasks)
            token = page.next_page_token
            if not token:
                return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(count(sys.argv[1]))))
