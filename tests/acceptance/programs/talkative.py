"""Says something in every way that a program may, and has set up its logging as programs do."""

import asyncio
import gc
import logging
import threading
import warnings
from typing import Any

from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from outlast import App

logging.basicConfig(level=logging.INFO, format="TEXT %(name)s %(message)s")
library = logging.getLogger("a.library")
library.info("while it is imported")

app = App()
own_span = NonRecordingSpan(SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1)))


@app.async_task
def on_a_thread() -> None:
    """Log on a thread of the task's own."""
    library.info("in a task on a thread")
    with use_span(own_span):
        library.info("in a span of its own")


@app.async_task
async def on_a_loop() -> None:
    """Log on the loop, and on a thread that it waits for."""
    library.info("in a task on a loop")
    await asyncio.to_thread(library.info, "in a thread of that task")
    app.logger.info("by the app's logger")


async def _fail() -> None:
    raise LookupError("of a task that nobody awaits")


@app.entrypoint
async def handler(payload: dict[str, Any]) -> list[str]:
    """Start the tasks, and go wrong if asked to."""
    library.warning("in a handler")
    warnings.warn("careful", stacklevel=1)
    if payload.get("wrong"):
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
        forgotten = asyncio.ensure_future(_fail())
        await asyncio.wait([forgotten])
        del forgotten
        gc.collect()
    tasks = [on_a_thread.start(), on_a_loop.start()]
    for task in tasks:
        await task
    return [str(task.task_id) for task in tasks]


if __name__ == "__main__":
    app.run()
