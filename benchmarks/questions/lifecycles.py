"""Task lifecycles a second: start, three reports of progress, end; committed, each an event, with log lines and a span.

First the task manager alone, told of tasks by several workers that do nothing else. Then programs with real tasks:
agents of ours apart from their task manager, beside task queues with as much on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial

from benchmarks.harness.bench import Bench
from benchmarks.harness.postgres import postgres
from benchmarks.harness.recorded_load import Rate, RecordedLoad, agents_of, recorded_load
from benchmarks.harness.redis import redis
from benchmarks.harness.rounds import in_turn, series
from benchmarks.harness.row import Row
from benchmarks.harness.target import Target
from benchmarks.harness.task_queues import TaskQueue, running

#: Seconds that a round of each contender takes, and how many tasks find out how many that is; they do not count.
SECONDS = 4.0
FIRST, FIRST_OF_QUEUES = 2_000, 400
SMOKE = 200

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
#: What the task manager alone is to reach.
REACH = {SQLITE: 10_000, POSTGRESQL: 6_000}
SHAPES = {"whole lifecycles in a message": (), "one operation of a task in a message": ("--staggered",)}

# Each as it was fastest here on two cores. Tried were: of Celery 2, 4, 6 and 8 processes, two workers, and threads; of
# Taskiq 2 and 3 processes, 30 and 100 tasks at a time; of Procrastinate 1 and 2 processes, 8 to 30 jobs at a time; of
# DBOS 4 to 32 workflows at a time, with and without asyncio. A workflow of DBOS runs where it was started, as our tasks
# do: its queues are another step on the way.
CELERY = TaskQueue(
    "celery",
    [("celery", "--app=lifecycles_celery", "worker", "--pool=prefork", "--concurrency=4", "--loglevel=INFO")],
    " ready.",
)
TASKIQ = TaskQueue("taskiq", [("taskiq", "worker", "lifecycles_taskiq:broker", "--workers=2")], "Listening started")
PROCRASTINATE = TaskQueue(
    "procrastinate",
    [("procrastinate", "--app=lifecycles_procrastinate.app", "worker", "--concurrency=16")] * 2,
    "Starting worker",
    ("set-up",),
)
DBOS = TaskQueue("dbos")
#: How they are called in the table, and on what they keep tasks.
QUEUES = {
    "Celery, Redis": (CELERY, "REDIS"),
    "Taskiq, Redis": (TASKIQ, "REDIS"),
    "Procrastinate, PostgreSQL": (PROCRASTINATE, "POSTGRES"),
    "DBOS, PostgreSQL": (DBOS, "POSTGRES"),
}

_MANAGER_NOTE = "until the last span has been received; until the last answer: {answered:,.0f}"
_PROGRAMS_NOTE = (
    "two agents and a task manager, until the last span has been received (until the last answer: {answered:,.0f}). "
    "Each peer commits as durably, gives and runs tasks in two processes or more, and leaves out: Celery spans and "
    "history (one state a task), and a worker that dies between two commands loses a task; Taskiq the same, but loses "
    "none; Procrastinate spans, and results and progress (rows of the program's own tables here); DBOS spans (off)"
)


def ask(bench: Bench) -> list[Row]:
    """Measure programs, then the task manager by itself; SQLite alone, and few, where it is only to be seen to work."""
    with ExitStack() as stack:
        stores = {SQLITE: ""}
        where: dict[str, Callable[[], str]] = {}
        if not bench.smoke:
            server = stack.enter_context(postgres(bench))
            url = stack.enter_context(redis(bench))
            where = {"POSTGRES": lambda: server.url(server.create_database()), "REDIS": lambda: url}
            stores[POSTGRESQL] = where["POSTGRES"]()
        loads = {name: stack.enter_context(recorded_load(bench, store)) for name, store in stores.items()}
        programs = _programs(bench, loads, where)
        return _managers(bench, loads) + programs


def _managers(bench: Bench, loads: Mapping[str, RecordedLoad]) -> list[Row]:
    contenders: dict[str, Callable[[], Rate]] = {}
    targets: dict[str, Target] = {}
    for store, load in loads.items():
        for shape, options in SHAPES.items():
            row = f"task manager alone on {store}, lifecycles a second, {shape}"
            contenders[row] = _sized(bench, partial(_operations, load, options))
            targets[row] = Target(">=", REACH[store])
    measured = in_turn(contenders, bench.rounds, warm_up=False)
    whole, answered = series(measured, _whole), series(measured, _answered)
    return [
        Row(row, "1/s", whole[row], {}, [target], _MANAGER_NOTE.format(answered=answered[row].median))
        for row, target in targets.items()
    ]


def _programs(bench: Bench, loads: Mapping[str, RecordedLoad], where: Mapping[str, Callable[[], str]]) -> list[Row]:
    with ExitStack() as stack:
        contenders: dict[str, Callable[[], Rate]] = {}
        for store, load in loads.items():
            agents = stack.enter_context(agents_of(bench, load))
            contenders[store] = _sized(bench, partial(load.programs, agents))
        for name, (queue, server) in QUEUES.items():
            if server in where:
                peer = stack.enter_context(running(bench, queue, {server: where[server]()}))
                contenders[name] = _sized(bench, partial(_through, peer.rate), FIRST_OF_QUEUES)
        measured = in_turn(contenders, bench.rounds, warm_up=False)
    rates, answered = series(measured, _whole), series(measured, _answered)
    peers = {name: rates[name] for name in QUEUES if name in rates}
    best = max(peers, key=lambda name: peers[name].median, default="")
    return [
        Row(
            f"programs with tasks on {store}, lifecycles a second",
            "1/s",
            rates[store],
            peers,
            [Target(">=", 3, best)] if best else [],
            _PROGRAMS_NOTE.format(answered=answered[store].median) if best else "",
        )
        for store in loads
    ]


def _sized(bench: Bench, measure: Callable[[int], Rate], first: int = FIRST) -> Callable[[], Rate]:
    """Return a measurement of as many tasks as take about as long as a round is to; the first few warm it up."""
    if bench.smoke:
        return partial(measure, SMOKE)
    return partial(measure, max(round(measure(first).whole * SECONDS), 1))


def _operations(load: RecordedLoad, options: tuple[str, ...], lifecycles: int) -> Rate:
    return load.operations(lifecycles, *options)


def _through(rate: Callable[[int], float], tasks: int) -> Rate:
    """Return what a queue of others reached: it is measured to the end of its last task, and has no spans."""
    reached = rate(tasks)
    return Rate(reached, reached)


def _whole(rate: Rate) -> float:
    return rate.whole


def _answered(rate: Rate) -> float:
    return rate.answered
