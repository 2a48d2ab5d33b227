"""A receiver of OTLP spans over gRPC that takes all and counts them: python -m benchmarks.load.span_sink.

Its first line is the port, as JSON. Each line that it is told is answered with how many spans of tasks have come since
the line before, and when the last of them came, by this machine's monotonic clock. It only keeps what comes until it is
asked, so that it takes little of the machine while it is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import grpc.aio
import uvloop
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"


async def main() -> None:
    """Serve until standard input ends."""
    kept: list[bytes] = []
    last = 0.0

    async def export(request: bytes, _context: object) -> bytes:
        nonlocal last
        kept.append(request)
        last = time.perf_counter()
        return b""

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Export": grpc.unary_unary_rpc_method_handler(export)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, methods),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    while await asyncio.to_thread(sys.stdin.readline):
        taken = kept[:]
        kept.clear()
        print(json.dumps({"spans": sum(map(_spans, taken)), "last": last}), flush=True)
    await server.stop(None)


def _spans(request: bytes) -> int:
    """Count the spans of whole tasks: not those of invocations, nor that by which a task at work is found."""
    scopes = [
        each for spans in ExportTraceServiceRequest.FromString(request).resource_spans for each in spans.scope_spans
    ]
    names = [span.name for scope in scopes for span in scope.spans]
    return sum(name.startswith("async_task ") and not name.endswith(" started") for name in names)


if __name__ == "__main__":
    uvloop.run(main())
