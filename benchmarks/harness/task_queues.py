"""The task queues that people use, each with its workers up and a load of its own: programs/lifecycles_NAME.py."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.bench import PROGRAMS, Bench
from benchmarks.harness.process import Process

#: Processes that give tasks to a queue.
PRODUCERS = 2
#: Seconds that a load may take.
_PATIENCE = 120.0


@dataclass(frozen=True)
class TaskQueue:
    """One of them: an environment of that name (peers/NAME.txt), a program, and how its documentation runs workers."""

    name: str
    #: Each is a process of workers.
    workers: Sequence[Sequence[str]] = ()
    #: What a process of workers says when it takes tasks.
    ready: str = ""
    #: What the program is called with once, before the workers start.
    set_up: Sequence[str] = ()


class QueueLoad:
    """A queue whose workers run."""

    def __init__(self, python: str, queue: TaskQueue, folder: Path, environment: dict[str, str]) -> None:
        self._program = [python, str(PROGRAMS / f"lifecycles_{queue.name}.py")]
        self._folder = folder
        self._environment = environment

    def rate(self, tasks: int) -> float:
        """Return how many of so many tasks went through the queue in a second.

        Raises:
            SystemExit: not every one of them has its result on record.
        """
        done = json.loads(self.run(str(tasks), str(PRODUCERS)).splitlines()[-1])
        if done["completed"] != tasks:
            raise SystemExit(f"{done['completed']:,} of {tasks:,} tasks have a result: {self._program}")
        return float(tasks / done["seconds"])

    def run(self, *arguments: str) -> str:
        """Run the program to its end and return what it prints; raises SystemExit with what it says when it fails."""
        with (self._folder / "load").open("w+b") as said:
            done = subprocess.run(
                [*self._program, *arguments],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                timeout=_PATIENCE,
            )
            if done.returncode:
                said.seek(0)
                raise SystemExit(f"{self._program} failed:\n{said.read()[-3000:].decode(errors='replace')}")
        return done.stdout.decode()


@contextmanager
def running(bench: Bench, queue: TaskQueue, where: dict[str, str]) -> Iterator[QueueLoad]:
    """Run a queue's workers, their log in files. ``where`` tells the program where its server is."""
    python = bench.python(queue.name)
    programs = Path(python).parent
    environment = {"PATH": str(programs), "PYTHONPATH": str(PROGRAMS), "HOME": str(bench.folder), **where}
    load = QueueLoad(python, queue, bench.new_folder(queue.name), environment)
    if queue.set_up:
        load.run(*queue.set_up)
    with ExitStack() as stack:
        for name, *arguments in queue.workers:
            worker = Process([str(programs / name), *arguments], bench.new_folder(queue.name), environment)
            # Killed and not asked: some take long to end, and nothing is left to be lost.
            stack.callback(worker.kill)
            worker.says(queue.ready)
        yield load
