"""An agent as a session host starts it: says what it sees of a request, and works for its session."""

import asyncio
from typing import Any

from outlast import App

app = App()


@app.async_task
async def work(seconds: float) -> str:
    """Take some time."""
    await asyncio.sleep(seconds)
    return "done"


@app.entrypoint
async def handler(payload: dict[str, Any], context: Any) -> dict[str, Any]:
    """Start a task."""
    headers = sorted(name.lower() for name in context.request.headers)
    return {"session": context.session_id, "headers": headers, "task": work.start(payload["seconds"])}


if __name__ == "__main__":
    app.run()
