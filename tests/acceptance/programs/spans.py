"""User code that opens spans of its own inside a task: on a loop, on a thread, in every attempt."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from opentelemetry import trace

from outlast import App, current_task

app = App()
tracer = trace.get_tracer("program")


@app.async_task
async def research() -> str:
    """Open a span inside the task."""
    with tracer.start_as_current_span("look it up"):
        return "found"


@app.async_task
def compute() -> str:
    """Open a span inside a task on a thread."""
    with tracer.start_as_current_span("compute it"):
        return "computed"


@app.async_task
async def breaks() -> None:
    """Fail."""
    raise ValueError("broken")


@app.async_task(max_attempts=3, backoff=0.05)
async def flaky() -> str:
    """Fail twice inside a span, succeed with the third attempt."""
    attempt = current_task().attempt
    with tracer.start_as_current_span(f"try {attempt}"):
        if attempt < 3:
            raise OSError(f"not the {attempt}. time")
        return "at last"


@app.async_task
async def endless() -> None:
    """Wait for ever."""
    await asyncio.Event().wait()


async def stream() -> AsyncIterator[str]:
    """Start a task half-way through an answer."""
    yield "first"
    research.start()
    yield "last"


@app.entrypoint
async def handler(payload: dict[str, Any]) -> str | AsyncIterator[str]:
    """Start the one that is named, or the three that end at once."""
    if "stream" in payload:
        return stream()
    if "start" in payload:
        named: dict[str, Any] = {"research": research, "flaky": flaky, "endless": endless}
        named[payload["start"]].start()
        return "started"
    research.start()
    compute.start()
    breaks.start()
    return "started"


if __name__ == "__main__":
    app.run()
