"""An agent of outlast's own that an ASGI server serves: ``uvicorn served:app``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from outlast import App

app = App()
held: dict[str, int] = {}


@app.async_task
async def work(seconds: float) -> str:
    """Work for some time."""
    await asyncio.sleep(seconds)
    return "done"


@app.entrypoint
async def handler(payload: dict[str, Any]) -> Any:
    """Start a task, or hold one by hand; say which process this is."""
    match payload["do"]:
        case "start":
            return {"task": work.start(payload["seconds"])}
        case "hold":
            held[payload["name"]] = app.add_async_task(payload["name"])
        case "let go":
            return app.complete_async_task(held.pop(payload["name"]), result="by hand")
        case "stream":
            return words(payload["gap"])
    return os.getpid()


async def words(gap: float) -> AsyncIterator[str]:
    """Yield words, and say so when nobody reads any more."""
    try:
        for number in range(1_000_000):
            yield f"word {number}"
            await asyncio.sleep(gap)
    finally:
        print("closed", flush=True)
