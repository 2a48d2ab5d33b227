"""An application that mounts an agent below a path of its own; nothing runs the agent's lifespan there."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount

from outlast import App

agent = App()


@agent.async_task
async def work(seconds: float) -> str:
    """Take some time."""
    await asyncio.sleep(seconds)
    return "done"


@agent.entrypoint
async def handler(payload: Any, context: Any) -> Any:
    """Start a task, or stream until the client has gone."""
    if "stream" in payload:
        return forever()
    return {"task": work.start(payload["seconds"]), "path": context.request.path}


async def forever() -> AsyncIterator[int]:
    """Count, and say so when nobody reads any more."""
    try:
        for number in range(1_000_000):
            yield number
            await asyncio.sleep(0.01)
    finally:
        print("closed", flush=True)


app = Starlette(routes=[Mount("/agent", agent)])
