"""An agent for a container: tasks that end, tasks that do not, and processes that lose their parent."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from outlast import App, current_task

app = App()


@app.async_task
async def quick(topic: str) -> dict[str, Any]:
    """End at once; tell who it ran as, and where temporary files go."""
    with tempfile.NamedTemporaryFile() as file:
        return {"topic": topic, "user": os.getuid(), "temporary": os.path.dirname(file.name)}


@app.async_task
async def endless() -> None:
    """Go on for ever."""
    await asyncio.Event().wait()


@app.async_task(max_attempts=2, backoff=0)
async def again() -> dict[str, int]:
    """Go on for ever, but for the second attempt."""
    attempt = current_task().attempt
    if attempt == 1:
        await asyncio.Event().wait()
    return {"attempt": attempt}


def orphans(number: int) -> list[int]:
    """Start processes whose parent ends at once; return their ids."""
    script = f"for each in $(seq {number}); do true & echo $!; done"
    return [int(line) for line in subprocess.check_output(["sh", "-c", script], text=True).split()]


@app.entrypoint
def handler(payload: dict[str, Any], context: Any) -> dict[str, Any]:
    """Do as told."""
    match payload.get("do"):
        case "quick":
            return {"task": quick.start(payload["topic"]), "pid": os.getpid(), "session": context.session_id}
        case "endless":
            return {"task": endless.start()}
        case "again":
            return {"task": again.start()}
        case "orphans":
            return {"processes": orphans(payload["number"])}
        case "left":
            return {"processes": [number for number in payload["processes"] if Path(f"/proc/{number}").exists()]}
    return {"pid": os.getpid(), "session": context.session_id, "folder": os.getcwd()}
