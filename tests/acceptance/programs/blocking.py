"""Code that blocks threads (`{"block": "thread"}`), the agent's loop (`"loop"`) or tasks (`"tasks"`), until `open`."""

import threading
from typing import Any

from outlast import App

app = App()
gate = threading.Event()
#: One for each call that blocks, or has blocked.
entered = threading.Semaphore(0)


@app.async_task
def long_work() -> None:
    """Block a thread of its own."""
    entered.release()
    gate.wait()


async def hold_the_loop() -> str:
    """Block the agent's loop, as no coroutine should."""
    entered.release()
    gate.wait()  # the line that blocks
    return "held"


@app.entrypoint
def handler(payload: dict[str, Any]) -> Any:
    """Block as the payload says, or answer at once."""
    block = payload.get("block")
    if block == "thread":
        entered.release()
        gate.wait()
    elif block == "loop":
        return hold_the_loop()
    elif block == "tasks":
        for _ in range(payload["count"]):
            long_work.start()
    elif payload.get("open"):
        gate.set()
    for _ in range(payload.get("entered", 0)):
        assert entered.acquire(timeout=20), "too few block"
    return "open" if gate.is_set() else "blocked"


if __name__ == "__main__":
    app.run()
