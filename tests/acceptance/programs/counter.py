"""One short task for each invocation; the task returns the number that came with it."""

import asyncio
from typing import Any

from outlast import App

app = App()


@app.async_task
async def count(number: int) -> int:
    """Return the number after a few turns of the loop."""
    for _ in range(5):
        await asyncio.sleep(0)
    return number


@app.entrypoint
async def handler(payload: dict[str, Any]) -> Any:
    """Start a task and answer its id."""
    return {"taskId": str(count.start(payload["number"]).task_id)}


if __name__ == "__main__":
    app.run()
