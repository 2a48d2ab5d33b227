"""Loads of tasks on a task manager of outlast, and whether all came of them that had to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from benchmarks.harness.agents import Agent
from benchmarks.harness.bench import PROGRAMS, Bench
from benchmarks.harness.environments import OURS
from benchmarks.harness.load import run_load
from benchmarks.harness.process import free_port
from benchmarks.harness.span_sink import SpanSink
from benchmarks.harness.task_managers import TaskManager, start_task_manager

#: Agent processes.
AGENTS = 2


class Rate(NamedTuple):
    """How many tasks went through their whole life in a second, with each of its events on record."""

    #: Until the last of them was committed and answered, its log lines written, and its span received.
    whole: float
    #: Until the last of them was committed and answered.
    answered: float


class RecordedLoad:
    """A task manager and where its spans go; what it is given is compared with what is on record.

    What is measured raises SystemExit when a task is missing, or has not ended with its result.
    """

    def __init__(self, manager: TaskManager, sink: SpanSink) -> None:
        self.manager = manager
        self.sink = sink
        self._tasks = 0

    def operations(self, lifecycles: int, *options: str) -> Rate:
        """Measure the task manager alone: workers that have nothing to do but to tell it of tasks."""
        done = run_load("lifecycles", self.manager.address, "--lifecycles", lifecycles, *options)
        return self._rate(done["lifecycles"], done["began"], done["seconds"])

    def programs(self, urls: list[str], tasks: int) -> Rate:
        """Measure agents whose invocations start tasks, with the task manager that they use."""
        done = run_load("task_invocations", *urls, "--tasks", tasks)
        return self._rate(tasks, done["began"], done["seconds"])

    def check_lines(self) -> None:
        """Raise SystemExit when a task lacks one of the task manager's log lines."""
        with (self.manager.folder / "stderr").open() as said, (self.manager.folder / "stdout").open() as printed:
            lines = [line for file in (said, printed) for line in file if '"Async task ' in line]
        started = sum("Async task started" in line for line in lines)
        ended = sum("Async task completed" in line for line in lines)
        if (started, ended) != (self._tasks, self._tasks):
            raise SystemExit(f"{started:,} tasks were logged as started, {ended:,} as completed, of {self._tasks:,}")

    def _rate(self, tasks: int, began: float, seconds: float) -> Rate:
        """Return the rate of those with every event: on a busy machine one report may give way to the next unsent."""
        self._tasks += tasks
        last = self.sink.wait(tasks)
        found = run_load("tasks_on_record", self.manager.address, "--newest", tasks)
        if found["tasks"] != tasks or found["completed"] != tasks:
            raise SystemExit(f"of {tasks:,} tasks {found} are on record")
        return Rate(found["whole"] / max(last - began, seconds), found["whole"] / seconds)


@contextmanager
def recorded_load(bench: Bench, store: str) -> Iterator[RecordedLoad]:
    """Run a task manager on a store, SQLite where there is no URL; its log is checked at the end."""
    with SpanSink() as sink, start_task_manager(bench, store, sink.environment).ready() as manager:
        load = RecordedLoad(manager, sink)
        yield load
        load.check_lines()


@contextmanager
def agents_of(bench: Bench, load: RecordedLoad) -> Iterator[list[str]]:
    """Run agents that use the task manager; give where they take invocations."""
    command = [bench.python(OURS), str(PROGRAMS / "lifecycles_ours.py")]
    with ExitStack() as stack:
        agents = []
        for _ in range(1 if bench.smoke else AGENTS):
            port = free_port()
            environment = {
                "OUTLAST_HOST": "127.0.0.1",
                "OUTLAST_PORT": str(port),
                "OUTLAST_TASK_MANAGER": load.manager.address,
                **load.sink.environment,
            }
            agents.append(stack.enter_context(Agent(command, bench.new_folder("agent"), environment, port)))
        yield [f"{agent.ready().url}/invocations" for agent in agents]
