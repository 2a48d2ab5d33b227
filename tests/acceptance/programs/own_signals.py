"""A program with handlers of its own for the signals that stop an agent, and a handler that forks."""

import multiprocessing
import os
import signal
import sys
from typing import Any

from outlast import App

app = App()


def leave(number: int, _frame: object) -> None:
    """End the program in a way of its own."""
    print(f"left by {signal.Signals(number).name}", flush=True)
    sys.exit(7)


if "OWN_HANDLERS" in os.environ:
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)


@app.entrypoint
def handler(payload: Any) -> list[int]:
    """Have a pool compute, which ends its children by SIGTERM."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, 2])


if __name__ == "__main__":
    app.run()
    print("after run", flush=True)
