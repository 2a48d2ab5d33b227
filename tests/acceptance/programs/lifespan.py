"""A program that opens something with its lifespan, uses it in a task, and closes it."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator
from typing import Any

from bedrock_agentcore.runtime import BedrockAgentCoreApp


class Pool:
    """Something that belongs to a loop and has to be closed."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.open = True


@contextlib.asynccontextmanager
async def lifespan(app: BedrockAgentCoreApp) -> AsyncIterator[dict[str, str]]:
    """Open the pool, and close it."""
    if os.environ.get("FAIL") == "start":
        raise ValueError("no database here")
    app.state.pool = Pool()
    print(f"opened on {threading.current_thread().name}", flush=True)
    yield {"greeting": "hello"}
    app.state.pool.open = False
    print("closed", flush=True)
    if os.environ.get("FAIL") == "end":
        raise ValueError("cannot close")


app = BedrockAgentCoreApp(lifespan=lifespan)


@app.async_task
async def work() -> str:
    """Use the pool up to the end."""
    await asyncio.sleep(1.0)
    print(f"the task ends, the pool is {'open' if app.state.pool.open else 'closed'}", flush=True)
    return "done"


@app.entrypoint
async def handler(payload: Any, context: Any) -> Any:
    """Say what the lifespan left, and start the task."""
    if payload.get("work"):
        asyncio.create_task(work())  # noqa: RUF006 (as people write it)
    return {
        "greeting": context.request.state.greeting,
        "own loop": app.state.pool.loop is asyncio.get_running_loop(),
    }


if __name__ == "__main__":
    app.run()
