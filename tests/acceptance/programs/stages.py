"""Tasks in stages: `{"start": KIND}`. They go on when there is a file where GATE_FILE says."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from outlast import App, current_task

app = App()
gate = Path(os.environ["GATE_FILE"])


def wait() -> None:
    """Return once the gate is open."""
    while not gate.exists():
        time.sleep(0.05)


@app.async_task
async def stages() -> dict[str, Any]:
    """Say how far it is, wait for the gate, and come to an end."""
    task = current_task()
    task.progress(0.25, "at the gate")
    await task.aemit("before")
    await asyncio.to_thread(wait)
    await task.aemit("behind")
    task.progress(1, "through")
    return {"through": True}


@app.async_task(max_attempts=2, backoff=0)
def unlucky(number: int) -> int:
    """Fail for as long as there is no gate."""
    if not gate.exists():
        raise LookupError(f"no luck with {number}")
    return number


@app.async_task
def stubborn() -> None:
    """Go on whatever somebody asks for."""
    wait()


@app.entrypoint
async def handler(payload: dict[str, Any]) -> Any:
    """Start a task."""
    match payload["start"]:
        case "stages":
            return stages.start()
        case "unlucky":
            return unlucky.start(7)
        case _:
            return stubborn.start()


if __name__ == "__main__":
    app.run()
