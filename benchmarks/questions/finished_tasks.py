"""Looking tasks up among a million finished ones: one task, the first page of the list, and page 1,000."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from benchmarks.harness.bench import Bench
from benchmarks.harness.copied_tasks import SAMPLE
from benchmarks.harness.finished_tasks import PostgresStores, SQLiteStores
from benchmarks.harness.load import Load
from benchmarks.harness.postgres import postgres
from benchmarks.harness.rounds import Series
from benchmarks.harness.row import Row
from benchmarks.harness.target import Target
from benchmarks.harness.task_managers import start_task_manager

#: Calls of each kind to each task manager in a round.
CALLS = 500


def ask(bench: Bench) -> list[Row]:
    """Measure SQLite, then PostgreSQL."""
    rows = list(_rows(bench, SQLiteStores(bench)))
    if not bench.smoke:
        with postgres(bench) as server:
            rows += _rows(bench, PostgresStores(bench, server))
    return rows


def _rows(bench: Bench, stores: SQLiteStores | PostgresStores) -> Iterator[Row]:
    """Measure a store with few and one with many, each behind a task manager; one load calls them by turns."""
    few, many = (400, 2_000) if bench.smoke else (10_000, 10_000_000 if bench.large else 1_000_000)
    page = 20 if bench.smoke else 1_000
    with ExitStack() as stack:
        addresses, ids = [], []
        for tasks in (few, many):
            bench.say(f"{stores.name}: {tasks:,} finished tasks")
            filled = stack.enter_context(stores.filled(tasks))
            addresses.append(stack.enter_context(start_task_manager(bench, filled.url)).ready().address)
            ids.append(filled.task_ids)
        load = stack.enter_context(Load("lookups", *addresses, "--page", page))
        for task_ids in ids:
            load.tell(task_ids)
        load.says()
        bench.say(f"{stores.name}: looking tasks up")
        _measure(load, 20)
        measured = [_measure(load, 20 if bench.smoke else CALLS) for _ in range(bench.rounds)]
    calls = {
        "get": ("GetTask", f"{SAMPLE:,} tasks of all times, one after the other: the first rounds read them from disk"),
        "first": ("ListTasks, page 1", "pages of 10 tasks"),
        "far": (f"ListTasks, page {page:,}", "pages of 10 tasks"),
    }
    for kind, (call, how) in calls.items():
        p99 = [_series(measured, number, kind, "p99") for number in (0, 1)]
        p50 = [_series(measured, number, kind, "p50").median for number in (0, 1)]
        beside = f"{few:,} finished tasks"
        note = f"p50 {p50[1]:.2f} ms, and {p50[0]:.2f} ms with {beside}; {how}"
        question = f"{call}, {many:,} finished tasks, {stores.name}: p99"
        yield Row(question, "ms", p99[1], {beside: p99[0]}, [Target("<=", 1.5, beside)], note)


def _measure(load: Load, calls: int) -> Any:
    load.tell(calls)
    return load.says()


def _series(measured: list[Any], number: int, kind: str, figure: str) -> Series:
    return Series([each[number][kind][figure] for each in measured])
