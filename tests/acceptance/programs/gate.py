"""Tasks that end when they are told to: `{"start": KIND}`, then `{"open": true}` or a file where GATE_FILE says."""

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

from outlast import App, current_task

app = App()
gate = threading.Event()


@app.async_task
async def coroutine(number: int = 0) -> dict[str, Any]:
    """Wait for the gate without blocking a loop."""
    await asyncio.to_thread(gate.wait)
    return {"number": number, "text": "終わり"}


@app.async_task
def function(number: int = 0) -> dict[str, Any]:
    """Wait for the gate on a thread."""
    gate.wait()
    return {"number": number, "text": "終わり"}


@app.async_task
def obedient() -> None:
    """Run until somebody cancels it."""
    task = current_task()
    while not gate.wait(0.05):
        task.raise_if_cancelled()


@app.async_task
async def endless() -> None:
    """Wait for ever, or until somebody cancels it."""
    await asyncio.Event().wait()


def start_by_hand() -> int:
    """Track a thread of our own that waits for the gate."""
    task_id = app.add_async_task("by_hand", {"why": "test"})

    def work() -> None:
        gate.wait()
        app.complete_async_task(task_id, {"number": 0, "text": "終わり"})

    threading.Thread(target=work, daemon=True).start()
    return task_id


@app.entrypoint
async def handler(payload: dict[str, Any]) -> Any:
    """Start tasks, open or close the gate, or just answer."""
    if payload.get("open"):
        gate.set()
        return "open"
    kinds: dict[str, Any] = {"coroutine": coroutine, "function": function, "obedient": obedient, "endless": endless}
    kind = payload.get("start")
    if kind == "by_hand":
        return {"taskId": str(start_by_hand())}
    if kind in kinds:
        return {"taskId": str(kinds[kind].start().task_id)}
    if kind == "three":
        handles = [coroutine.start(1).task_id, function.start(2).task_id, start_by_hand()]
        return {"taskIds": [str(task_id) for task_id in handles]}
    return "nothing"


def open_with_file(path: Path) -> None:
    """Open the gate once there is a file: also while no invocation is let in."""
    while not path.exists():
        gate.wait(0.05)
    gate.set()


if __name__ == "__main__":
    if "GATE_FILE" in os.environ:
        threading.Thread(target=open_with_file, args=(Path(os.environ["GATE_FILE"]),), daemon=True).start()
    app.run()
