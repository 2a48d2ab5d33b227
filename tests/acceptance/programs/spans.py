"""User code that opens spans of its own inside a task, on a loop and on a thread."""

from typing import Any

from opentelemetry import trace

from outlast import App

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


@app.entrypoint
async def handler(payload: dict[str, Any]) -> str:
    """Start the three of them."""
    research.start()
    compute.start()
    breaks.start()
    return "started"


if __name__ == "__main__":
    app.run()
