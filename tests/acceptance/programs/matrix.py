"""Tasks of every kind that write down when each attempt begins and ends: `{"start": [{"kind": ..., ...}, ...]}`.

A task's plan: `kind`, `seconds` that it takes, `failures` (how many attempts fail), `chunks` of output.
"""

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from outlast import App, current_task

HISTORY = os.open(os.environ["HISTORY_FILE"], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)

app = App()


class OnPurpose(Exception):
    """Raised by an attempt that is to fail."""


def write(what: str, **fields: Any) -> None:
    """Append a record to the history; one write, so that it is there whole or not at all."""
    record = {"at": round(time.monotonic(), 4), "what": what, "pid": os.getpid(), **fields}
    os.write(HISTORY, json.dumps(record).encode() + b"\n")


@contextmanager
def attempt(seconds: float, failures: int, chunks: int) -> Iterator[Iterator[float]]:
    """Give the waits between the chunks of output of one attempt; fail if this one is to."""
    task = current_task()
    number = task.attempt
    plan = {"seconds": seconds, "failures": failures, "chunks": chunks}
    write("began", task=task.task_id, attempt=number, kind=task.task_type, plan=plan)
    how = "failed"

    def waits() -> Iterator[float]:
        for chunk in range(chunks):
            yield seconds / (chunks + 1)
            task.emit([number, os.getpid(), chunk])
            task.progress((chunk + 1) / chunks, str(number))
        yield seconds / (chunks + 1)
        if number <= failures:
            raise OnPurpose(f"attempt {number}")

    try:
        yield waits()
        how = "returned"
    except asyncio.CancelledError:
        how = "canceled"
        raise
    finally:
        write("ended", task=task.task_id, attempt=number, how=how)


def value(number: int) -> dict[str, int]:
    """Return what an attempt gives, which says who it was."""
    return {"attempt": number, "pid": os.getpid()}


async def work(seconds: float = 0, failures: int = 0, chunks: int = 0) -> dict[str, int]:
    """Work on a loop."""
    with attempt(seconds, failures, chunks) as waits:
        for wait in waits:
            await asyncio.sleep(wait)
    return value(current_task().attempt)


def toil(seconds: float = 0, failures: int = 0, chunks: int = 0) -> dict[str, int]:
    """Work on a thread."""
    with attempt(seconds, failures, chunks) as waits:
        for wait in waits:
            time.sleep(wait)
            current_task().raise_if_cancelled()
    return value(current_task().attempt)


def by_hand(seconds: float = 0, failures: int = 0, chunks: int = 0) -> int:
    """Track a thread of our own."""
    task_id = app.add_async_task("by_hand", {"seconds": seconds})
    plan = {"seconds": seconds, "failures": failures, "chunks": 0}
    write("began", task=task_id, attempt=1, kind="by_hand", plan=plan)

    def run() -> None:
        time.sleep(seconds)
        error = OnPurpose("attempt 1") if failures else None
        done = app.complete_async_task(task_id, value(1), error)
        write("ended", task=task_id, attempt=1, how="completed" if done else "too late")

    threading.Thread(target=run, daemon=True).start()
    return task_id


once_async = app.async_task(work, name="once_async")
once_sync = app.async_task(toil, name="once_sync")
again_async = app.async_task(work, name="again_async", max_attempts=3, backoff=0.1)
again_sync = app.async_task(toil, name="again_sync", max_attempts=3, backoff=0.1)
KINDS: dict[str, Any] = {
    "once_async": once_async,
    "once_sync": once_sync,
    "again_async": again_async,
    "again_sync": again_sync,
}


@app.entrypoint
async def handler(payload: dict[str, Any]) -> dict[str, list[str]]:
    """Start the tasks that the caller plans, and name them."""
    ids = []
    for plan in payload.get("start", []):
        kind = plan.pop("kind")
        ids.append(by_hand(**plan) if kind == "by_hand" else KINDS[kind].start(**plan).task_id)
    return {"taskIds": [str(task_id) for task_id in ids]}


if __name__ == "__main__":
    app.run()
