"""The limit of CreateTask: a bare grpc.aio call whose handler writes the request to a file, with one fsync."""

import asyncio
import itertools
import os
from concurrent.futures import ThreadPoolExecutor

import grpc.aio
import uvloop

from outlast.v1.task_pb2 import Task
from outlast.v1.task_service_pb2_grpc import TaskServiceServicer, add_TaskServiceServicer_to_server


class Bare(TaskServiceServicer):
    def __init__(self):
        self.file = os.open("requests", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self.thread = ThreadPoolExecutor(1)
        self.ids = itertools.count(1)

    async def CreateTask(self, request, context):
        await asyncio.get_running_loop().run_in_executor(self.thread, self.write, request.SerializeToString())
        task_id = next(self.ids)
        return Task(name=f"tasks/{task_id}", task_id=task_id, task_type=request.task_type, state=Task.SUBMITTED)

    def write(self, data):
        os.write(self.file, data)
        os.fsync(self.file)


async def main():
    server = grpc.aio.server()
    add_TaskServiceServicer_to_server(Bare(), server)
    server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main())
