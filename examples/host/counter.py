"""Counts the calls of its session: each session has a process of its own, so each counts for itself.

``{"topic": "bees"}`` starts a task, whose result is there for whoever comes back with the same session id.
"""

import asyncio
import os

from outlast import App

app = App()
calls = 0


@app.async_task
async def research(topic: str) -> dict:
    await asyncio.sleep(float(os.environ.get("EXAMPLE_SECONDS", "10")))
    return {"topic": topic, "finding": "42"}


@app.entrypoint
async def handler(payload):
    global calls
    calls += 1
    answer = {"calls": calls, "process": os.getpid()}
    if "topic" in payload:
        answer["task"] = research.start(payload["topic"])
    return answer


app.run()
