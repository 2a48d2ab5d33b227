"""Task managers under measurement, each a process of its own on a store of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.harness.bench import Bench
from benchmarks.harness.environments import OURS
from benchmarks.harness.process import Process, free_port


class TaskManager(Process):
    """A task manager that serves at ``address``, its log in a file."""

    def __init__(self, command: list[str], folder: Path, environment: Mapping[str, str], port: int, store: str) -> None:
        super().__init__(command, folder, environment)
        self.address = f"127.0.0.1:{port}"
        self.store = store

    def ready(self) -> TaskManager:
        """Wait until it takes calls, and return itself."""
        self.says("task manager is ready")
        return self


def start_task_manager(bench: Bench, store: str = "", environment: Mapping[str, str] | None = None) -> TaskManager:
    """Start a task manager on the store with a URL; on a new SQLite file when there is none."""
    folder = bench.new_folder("task-manager")
    store = store or f"sqlite:///{folder / 'tasks.db'}"
    port = free_port()
    command = [bench.python(OURS), "-m", "outlast.cli", "task-manager", "--listen", f"127.0.0.1:{port}"]
    return TaskManager([*command, "--store", store], folder, environment or {}, port, store)
