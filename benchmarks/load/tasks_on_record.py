"""The newest tasks that a task manager has on record: python -m benchmarks.load.tasks_on_record HOST:PORT --newest 9.

The last line is a JSON object: how many there are, how many of them are COMPLETED with a result, and how many of these
have all the events of a lifecycle: its start, three reports of progress, its end.
"""

from __future__ import annotations

import argparse
import json

import grpc.aio
import uvloop

from outlast.v1 import task_pb2
from outlast.v1 import task_service_pb2 as pb
from outlast.v1.task_service_pb2_grpc import TaskServiceStub

#: Events of one lifecycle.
EVENTS = 5
#: Tasks in a page, at the most.
PAGE = 1_000


async def look(address: str, newest: int) -> dict[str, int]:
    """Return what there is, page by page."""
    tasks: list[task_pb2.Task] = []
    token = ""
    # A page of tasks may be larger than what gRPC takes by default.
    async with grpc.aio.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)]) as channel:
        service = TaskServiceStub(channel)
        while len(tasks) < newest and (token or not tasks):
            size = min(PAGE, newest - len(tasks))
            page = await service.ListTasks(
                pb.ListTasksRequest(page_size=size, page_token=token, view=task_pb2.TASK_VIEW_FULL)
            )
            tasks += page.tasks
            token = page.next_page_token
    completed = [task for task in tasks if task.state == task_pb2.Task.COMPLETED and task.result]
    whole = sum(task.generation == EVENTS for task in completed)
    return {"tasks": len(tasks), "completed": len(completed), "whole": whole}


def main() -> None:
    """Parse the command line, and look at the tasks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="HOST:PORT of a task manager")
    parser.add_argument("--newest", type=int, default=1_000)
    options = parser.parse_args()
    print(json.dumps(uvloop.run(look(options.address, options.newest))))


if __name__ == "__main__":
    main()
