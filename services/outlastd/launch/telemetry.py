"""Log lines, spans and metrics of a process: how they begin, and how the last of them get out."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from outlast.core.errors import StartRefused
from outlast.settings.model import Settings
from outlast.telemetry import records, tracing, variables
from outlast.telemetry.capture import set_up_logs
from outlast.telemetry.libraries import quiet_libraries
from outlast.telemetry.metrics import metering
from outlastd.launch.strange_variables import warn_of_strange_variables

if TYPE_CHECKING:
    from outlastd.task_manager.outbox import SpanOutbox

#: Seconds that log handlers of the program's own get for the last lines.
LOG_GRACE = 0.5
#: Seconds that the last spans and metrics get in all (`docker stop` kills 10 s after its signal; an agent's grace takes
#: 8), and those of the outbox of it: what is late waits there for whoever serves next.
SPANS_GRACE, OUTBOX_GRACE = 0.6, 0.4


async def set_up_telemetry(settings: Settings, stack: AsyncExitStack) -> None:
    """Set up log lines, spans and metrics, on the services' loop; ``stack`` exports the last of them when it is left.

    Raises:
        StartRefused: a variable of OpenTelemetry's asks for what cannot be had.
    """
    set_up_logs(settings)
    try:
        variables.check_times()
    except ValueError as error:
        raise StartRefused(str(error)) from None
    warn_of_strange_variables()
    stack.push_async_callback(asyncio.to_thread, records.hand_over_from_here(), LOG_GRACE)
    quiet_libraries()
    stack.push_async_callback(export_last)
    tracing.set_up(settings.agent)
    await asyncio.to_thread(metering.set_up, settings.agent)  # the SDK waits for threads of its own
    if (metrics := metering.active()) is not None and metrics.page is not None:
        from outlastd.launch.metrics_page import serve_metrics  # prometheus_client, where it is asked for

        await serve_metrics(metrics.page, stack)


async def export_last(outbox: SpanOutbox | None = None) -> None:
    """Export the last spans and metrics, and switch both off; with an outbox, what has ended comes first.

    To switch off again what is off is nothing.
    """
    await asyncio.gather(_export_last_spans(outbox), asyncio.to_thread(metering.shutdown, SPANS_GRACE))


async def _export_last_spans(outbox: SpanOutbox | None) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SPANS_GRACE
    if outbox is not None:
        await outbox.flush(OUTBOX_GRACE)
    await asyncio.to_thread(tracing.shutdown, max(deadline - loop.time(), 0.0))
