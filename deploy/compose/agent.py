"""The agent of compose.yaml: pretended work in three steps, each a span of the task, and no model."""

import asyncio
from typing import Any

from opentelemetry import trace

from outlast import App, current_task

app = App()
tracer = trace.get_tracer("research")

STEPS = ("search", "read", "write")


@app.async_task
async def research(topic: str, seconds: float) -> dict[str, Any]:
    """Work on a topic for some seconds, and say how far that is."""
    for number, step in enumerate(STEPS, 1):
        with tracer.start_as_current_span(step):
            await asyncio.sleep(seconds / len(STEPS))
        current_task().progress(number / len(STEPS), step)
    return {"topic": topic, "steps": STEPS}


@app.entrypoint
async def handler(payload: dict[str, Any]) -> dict[str, Any]:
    """Start the work and answer at once."""
    task = research.start(payload.get("prompt", "anything"), float(payload.get("seconds", 10)))
    return {"status": "started", "task": task}


if __name__ == "__main__":
    app.run()
