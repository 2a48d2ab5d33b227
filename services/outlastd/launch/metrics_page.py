"""The listener that serves ``/metrics`` to Prometheus: one of its own, never the front door's port."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
from concurrent.futures import Future
from contextlib import AsyncExitStack

from aiohttp import web

from outlast.core.errors import StartRefused
from outlast.settings.values import Address
from outlast.telemetry import variables
from outlast.telemetry.log import get_logger
from outlast.telemetry.metrics.prometheus import Page
from outlastd.front_door.listening import why_not_listening

#: How many ports are tried after the standard one, where none was asked for.
SEARCH_PORTS = 100
#: Clients that may wait for the page to be made; others are told to come back.
MAX_WAITING = 8
#: Seconds that a connection stays open with nothing to do.
IDLE_TIMEOUT = 75.0

# What aiohttp has to say is about clients, and with what they have sent.
_silent = logging.getLogger("outlast.metrics_page.aiohttp")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


async def serve_metrics(page: Page, stack: AsyncExitStack) -> Address:
    """Serve the page where ``OTEL_EXPORTER_PROMETHEUS_HOST`` and ``_PORT`` say, until ``stack`` is left.

    The standard port that is taken is replaced by the next free one; one that was asked for is not.

    Raises:
        StartRefused: it cannot be had.
    """
    try:
        host, port, asked_for = variables.prometheus_address()
    except ValueError as error:
        raise StartRefused(str(error)) from None
    runner = web.AppRunner(
        _application(page),
        logger=_silent,
        access_log=None,
        keepalive_timeout=IDLE_TIMEOUT,
        handle_signals=False,
        shutdown_timeout=0.2,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    # "localhost" is two addresses, and they would have two ports where the first is taken.
    listener = await asyncio.to_thread(_bind, "127.0.0.1" if host == "localhost" else host, port, search=not asked_for)
    await web.SockSite(runner, listener).start()
    address = Address(*listener.getsockname()[:2])
    get_logger().info("metrics are served to Prometheus", address=f"http://{address}/metrics")
    return address


def _application(page: Page) -> web.Application:
    rendering, waiting = asyncio.Lock(), 0

    async def metrics(request: web.Request) -> web.Response:
        nonlocal waiting
        if waiting >= MAX_WAITING:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "1"})
        waiting += 1
        try:
            async with rendering:
                body, content_type = await _render(page, request.headers.get("Accept", ""))
        except Exception as error:
            get_logger().error("the page of metrics could not be made", error=error)
            raise web.HTTPInternalServerError from None
        finally:
            waiting -= 1
        return web.Response(body=body, headers={"Content-Type": content_type})

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    return application


async def _render(page: Page, accept: str) -> tuple[bytes, str]:
    """Make the page on a thread that the exit does not wait for: figures of the program's own may hang."""
    rendered: Future[tuple[bytes, str]] = Future()
    rendered.set_running_or_notify_cancel()  # whoever gives up waiting does not take it from the thread

    def render() -> None:
        try:
            rendered.set_result(page.render(accept))
        except BaseException as error:
            rendered.set_exception(error)

    threading.Thread(target=render, name="outlast-metrics-page", daemon=True).start()
    return await asyncio.wrap_future(rendered)


def _bind(host: str, port: int, *, search: bool) -> socket.socket:
    last = min(port + SEARCH_PORTS, 65_535) if search else port
    for candidate in range(port, last + 1):
        try:
            return socket.create_server((host, candidate), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and candidate < last:
                continue
            raise StartRefused(
                f"metrics cannot be served on {Address(host, port)}: {why_not_listening(error)}; "
                "choose another address with OTEL_EXPORTER_PROMETHEUS_HOST and OTEL_EXPORTER_PROMETHEUS_PORT"
            ) from None
    raise AssertionError  # the last candidate has returned or raised
