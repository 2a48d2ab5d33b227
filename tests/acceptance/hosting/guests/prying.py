"""An agent of outlast's own that asks the task manager for what it is told to, with the tokens that it has."""

import asyncio
import os

import grpc
from google.protobuf.json_format import MessageToDict

from outlast import App
from outlast.v1 import task_service_pb2, task_service_pb2_grpc

app = App()


@app.async_task
async def wait(seconds):
    await asyncio.sleep(seconds)


def ask(address, token, requests):
    options = [("grpc.default_authority", "localhost"), ("grpc.enable_http_proxy", 0)]
    metadata = [("authorization", f"Bearer {os.environ[token]}")] if token else []
    answers = []
    with grpc.insecure_channel(address or os.environ["OUTLAST_TASK_MANAGER"], options) as channel:
        stub = task_service_pb2_grpc.TaskServiceStub(channel)
        for method, fields in requests:
            request = getattr(task_service_pb2, f"{method}Request")(**fields)
            try:
                answer = getattr(stub, method)(request, metadata=metadata, timeout=20)
                answers.append(["OK", MessageToDict(answer)])
            except grpc.RpcError as error:
                answers.append([error.code().name, error.details()])
    return answers


@app.entrypoint
async def handler(payload):
    if "seconds" in payload:
        return {"task": wait.start(payload["seconds"])}
    return await asyncio.to_thread(ask, payload["address"], payload["token"], payload["requests"])
