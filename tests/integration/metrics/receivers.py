"""The receiving ends of OTLP for metrics, inside the test: over gRPC and over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric


@dataclass
class Receiver(metrics_service_pb2_grpc.MetricsServiceServicer):
    """Keeps what arrives."""

    endpoint: str = ""
    requests: list[ExportMetricsServiceRequest] = field(default_factory=list)
    #: How many messages came to a door that takes none.
    refused: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def Export(self, request: ExportMetricsServiceRequest, context: Any) -> ExportMetricsServiceResponse:
        """Keep what arrives over gRPC."""
        self.requests.append(request)
        self.arrived.set()
        return ExportMetricsServiceResponse()

    async def post(self, request: web.Request) -> web.Response:
        """Keep what arrives over HTTP."""
        await self.Export(ExportMetricsServiceRequest.FromString(await request.read()), None)
        return web.Response(body=b"", content_type="application/x-protobuf")

    async def not_found(self, request: web.Request) -> web.Response:
        """Answer as a collector does that takes spans only."""
        await request.read()
        self.refuse()
        raise web.HTTPNotFound

    def refuse(self) -> None:
        """Count what is not taken."""
        self.refused += 1
        self.arrived.set()

    async def wait(self, messages: int) -> None:
        """Wait until so many messages came, taken or not."""
        async with asyncio.timeout(30):
            while len(self.requests) + self.refused < messages:
                self.arrived.clear()
                await self.arrived.wait()

    def metrics(self) -> dict[str, Metric]:
        """Return the newest of every metric."""
        return {
            metric.name: metric
            for request in self.requests
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def resource(self) -> dict[str, str]:
        """Return what the newest ones come from."""
        return {item.key: item.value.string_value for item in self.requests[-1].resource_metrics[0].resource.attributes}


class _Refusals(grpc.aio.ServerInterceptor):
    """Counts the calls of services that are not there."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        handler = await continuation(details)
        if handler is None:
            self._receiver.refuse()
        return handler


@asynccontextmanager
async def over_grpc(*, metrics: bool = True) -> AsyncIterator[Receiver]:
    """Serve over gRPC; without ``metrics`` as Jaeger does, which answers UNIMPLEMENTED."""
    receiver = Receiver()
    server = grpc.aio.server(interceptors=[_Refusals(receiver)], options=[("grpc.so_reuseport", 0)])
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(  # type: ignore[no-untyped-call]
        trace_service_pb2_grpc.TraceServiceServicer(),
        server,
    )
    if metrics:
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(receiver, server)  # type: ignore[no-untyped-call]
    receiver.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield receiver
    await server.stop(None)


@asynccontextmanager
async def over_http(*, metrics: bool = True) -> AsyncIterator[Receiver]:
    """Serve over HTTP; without ``metrics`` as Jaeger does, which answers 404."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/v1/metrics", receiver.post if metrics else receiver.not_found)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _, port = runner.addresses[0][:2]
    receiver.endpoint = f"http://127.0.0.1:{port}"
    yield receiver
    await runner.cleanup()


WAYS = {"grpc": over_grpc, "http/protobuf": over_http}
