"""From an event to its watchers: 1,000 WatchTask streams, each of which sees an event a second."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from benchmarks.harness.bench import Bench
from benchmarks.harness.load import Load
from benchmarks.harness.postgres import postgres
from benchmarks.harness.rounds import in_turn, series
from benchmarks.harness.row import Row
from benchmarks.harness.target import Target
from benchmarks.harness.task_managers import TaskManager, start_task_manager
from benchmarks.load.latencies import figures

#: Processes that the watchers are spread over, and the connections of each.
PROCESSES, CONNECTIONS = 4, 2
#: By when a report has to be sent, in seconds after its time: beyond that the load was not the one that was asked for.
#: A smoke run only shows that it works.
LATE, SMOKE_LATE = 0.25, 10.0


@dataclass(frozen=True)
class _Measured:
    p50: float
    p99: float
    #: Seconds of processor time of all watchers' processes, for each event that they saw.
    client: float


def ask(bench: Bench) -> list[Row]:
    """Measure one task with all watchers, and a task for each of them; on SQLite and on PostgreSQL."""
    watchers = 20 if bench.smoke else 1_000
    with ExitStack() as stack:
        managers = {"SQLite": stack.enter_context(start_task_manager(bench))}
        if not bench.smoke:
            server = stack.enter_context(postgres(bench))
            store = server.url(server.create_database())
            managers["PostgreSQL"] = stack.enter_context(start_task_manager(bench, store))
        rows: list[Row] = []
        for store, manager in managers.items():
            rows += _rows(bench, store, manager.ready(), watchers, tasks=1)
            rows += _rows(bench, store, manager, watchers, tasks=watchers)
        return rows


def _rows(bench: Bench, store: str, manager: TaskManager, watchers: int, tasks: int) -> list[Row]:
    seconds = max(round(bench.seconds), 1)
    processes = 1 if bench.smoke else PROCESSES
    with ExitStack() as stack:
        source = stack.enter_context(Load("events", manager.address, "--tasks", tasks))
        task_ids = source.says()
        loads = [
            stack.enter_context(Load("watchers", manager.address, "--connections", CONNECTIONS))
            for _ in range(processes)
        ]
        for number, load in enumerate(loads):
            load.tell([task_ids[watcher % tasks] for watcher in range(number, watchers, processes)])
        assert sum(load.says() for load in loads) == watchers
        late = SMOKE_LATE if bench.smoke else LATE
        measured = in_turn({store: partial(_measure, source, loads, tasks, seconds, late)}, bench.rounds)
    cost = sorted(each.client for each in measured[store])[len(measured[store]) // 2]
    what = "one task" if tasks == 1 else f"{tasks:,} tasks"
    note = f"the watchers' own processes use {cost * 1e6:.0f} us of processor time for each event that they see"
    question = f"event to watcher, {watchers:,} watchers of {what}, {store}"
    p50, p99 = (series(measured, figure)[store] for figure in (lambda each: each.p50, lambda each: each.p99))
    return [
        Row(f"{question}: p50", "ms", p50, note=note),
        Row(f"{question}: p99", "ms", p99, targets=[Target("<", 50)]),
    ]


def _measure(source: Load, watchers: list[Load], tasks: int, seconds: int, late: float) -> _Measured:
    """Have each watcher see an event a second, and take the time from the worker's sending to the watcher's reading."""
    for load in watchers:
        load.tell(seconds)
    source.tell({"events": tasks * seconds, "rate": tasks})
    latest = source.says()["late"]
    if latest > late:
        raise SystemExit(f"a report was sent {latest:.2f} s late: the machine is too busy to measure")
    answers = [load.says() for load in watchers]
    ages = [nanoseconds / 1e9 for answer in answers for nanoseconds in answer["nanoseconds"]]
    found = figures(ages)
    return _Measured(found["p50"], found["p99"], sum(answer["cpu"] for answer in answers) / len(ages))
