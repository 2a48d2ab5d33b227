"""A task that forks, as multiprocessing does by default on Linux up to Python 3.13."""

import multiprocessing
import os
from typing import Any

from outlast import App

app = App()
processes = multiprocessing.get_context("fork")


@app.async_task
def forks() -> bool:
    """Return whether a child has answered."""
    answers = processes.Queue()
    child = processes.Process(target=lambda: answers.put(os.getpid()))
    child.start()
    answered = bool(answers.get(timeout=20) != os.getpid())
    child.join()
    return answered


@app.entrypoint
def handler(payload: Any) -> bool:
    """Call it in place."""
    return forks()


if __name__ == "__main__":
    app.run()
