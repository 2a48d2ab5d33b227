"""A program that forks while connections of ours are at work."""

from __future__ import annotations

import subprocess
import sys

#: Keeps gRPC busy and forks; prints how the children ended that did not end well.
FORKS = """
import asyncio, os, time
import outlastd
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

def fork_often():
    codes = []
    for _ in range(40):
        if not (child := os.fork()):
            time.sleep(0.05)
            os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    return [code for code in codes if code]

async def main():
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    check = health_pb2_grpc.HealthStub(channel).Check

    async def ask():
        while True:
            await check(health_pb2.HealthCheckRequest())

    asking = [asyncio.create_task(ask()) for _ in range(8)]
    print(await asyncio.to_thread(fork_often), flush=True)
    os._exit(0)

asyncio.run(main())
"""


def test_children_of_a_fork_live() -> None:
    """gRPC starts nothing in a child, which would crash it now and then."""
    command = [sys.executable, "-W", "ignore", "-c", FORKS]
    assert subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout == "[]\n"
