"""Tasks that are tried again: each attempt notes its number and process in NOTES_FILE; GATE_FILE lets them end."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from outlast import App, current_task

app = App()
NOTES, GATE = Path(os.environ["NOTES_FILE"]), Path(os.environ["GATE_FILE"])
PAUSE = 0.02


def is_open() -> bool:
    """Whether the gate is open."""
    return GATE.exists()


def note(task_type: str) -> dict[str, int]:
    """Write down that an attempt has begun; one write, so that it is there whole."""
    attempt = {"attempt": current_task().attempt, "pid": os.getpid()}
    with NOTES.open("ab", buffering=0) as file:
        file.write(f"{task_type} {attempt['attempt']} {attempt['pid']}\n".encode())
    return attempt


@app.async_task(max_attempts=3, backoff=0.2)
async def flaky(failures: int) -> dict[str, int]:
    """Fail as often as said."""
    attempt = note("flaky")
    if attempt["attempt"] <= failures:
        raise LookupError(f"no luck with attempt {attempt['attempt']}")
    return attempt


@app.async_task(max_attempts=3, backoff=0.2)
def flaky_on_a_thread(failures: int) -> dict[str, int]:
    """Fail as often as said, on a thread."""
    attempt = note("flaky_on_a_thread")
    if attempt["attempt"] <= failures:
        raise LookupError(f"no luck with attempt {attempt['attempt']}")
    return attempt


@app.async_task(max_attempts=3, backoff=0.1)
async def patient(topic: str, *, pages: int = 1) -> dict[str, Any]:
    """Wait for the gate."""
    attempt = note("patient")
    while not is_open():  # noqa: ASYNC110  # a file tells nobody
        await asyncio.sleep(PAUSE)
    return {**attempt, "topic": topic, "pages": pages}


@app.async_task(max_attempts=2, timeout=0.5, backoff=0)
async def late(first_only: bool) -> dict[str, int]:
    """Take longer than allowed, always or the first time."""
    attempt = note("late")
    if not first_only or attempt["attempt"] == 1:
        await asyncio.Event().wait()
    return attempt


@app.async_task(timeout=0.3)
def late_on_a_thread() -> None:
    """Take longer than allowed, and look up in the end only."""
    note("late_on_a_thread")
    while not is_open():
        time.sleep(PAUSE)


@app.async_task
def blocking(number: int) -> int:
    """Hold a thread until the gate opens, or somebody cancels it."""
    note(f"blocking-{number}")
    while not is_open():
        current_task().raise_if_cancelled()
        time.sleep(PAUSE)
    return number


@app.async_task(max_attempts=3)
async def stubborn() -> None:
    """Answer a cancel with an exception of its own."""
    note("stubborn")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise LookupError("not like that") from None


TYPES: dict[str, Any] = {
    function.task_type: function
    for function in (flaky, flaky_on_a_thread, patient, late, late_on_a_thread, blocking, stubborn)
}


@app.entrypoint
async def handler(payload: dict[str, Any]) -> Any:
    """Start a task, `{"start": TYPE, "args": [...]}`; with `"wait"` answer what its handle gives."""
    if payload.get("by_hand"):
        return {"taskId": str(app.add_async_task("by_hand", timeout=payload.get("timeout")))}
    if task_id := payload.get("complete"):
        return {"completed": app.complete_async_task(int(task_id), "done")}
    handle = TYPES[payload["start"]].start(*payload.get("args", []))
    if not payload.get("wait"):
        return {"taskId": str(handle.task_id), "state": handle.state.name}
    try:
        return {"taskId": str(handle.task_id), "result": await handle, "attempt": handle.attempt}
    except Exception as error:
        failure = {"type": type(error).__name__, "text": str(error), "attempt": handle.attempt}
        return {"taskId": str(handle.task_id), "failure": failure}


if __name__ == "__main__":
    app.run()
