"""Tasks that take no time at all: `{"how": HOW}`."""

import asyncio
from typing import Any

from outlast import App

app = App()


@app.async_task
async def coroutine() -> str:
    """Return at once."""
    return "done"


@app.async_task
def function() -> str:
    """Return at once."""
    return "done"


@app.async_task
async def broken() -> None:
    """Raise at once."""
    raise ValueError("at once")


@app.entrypoint
async def handler(payload: dict[str, Any]) -> str:
    """Start one task."""
    match payload["how"]:
        case "awaited":
            await coroutine()
        case "created":
            asyncio.get_running_loop().create_task(coroutine())
        case "started":
            coroutine.start()
        case "called":
            function()
        case "on a thread":
            function.start()
        case "raises":
            broken.start()
    return "answered"


if __name__ == "__main__":
    app.run()
