"""One task's cost through TaskService: CreateTask to its answer at 100 a second, in an open loop."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

from benchmarks.harness.agents import OURS
from benchmarks.harness.bench import PROGRAMS, Bench
from benchmarks.harness.load import run_load
from benchmarks.harness.postgres import postgres
from benchmarks.harness.process import Process, free_port
from benchmarks.harness.rounds import Series, in_turn, series
from benchmarks.harness.row import Row
from benchmarks.harness.target import Target
from benchmarks.harness.task_managers import TaskManager, start_task_manager

#: Calls a second.
RATE = 100
LIMIT = "bare grpc.aio call and one fsync"
#: Our contenders: a store, and whether an agent is at work.
_SQLITE, _AT_WORK, _POSTGRESQL = "SQLite", "SQLite, an agent at work", "PostgreSQL"
_AGENT = "bench"


def ask(bench: Bench) -> list[Row]:
    """Measure them in turn, all of them up the whole time."""
    with ExitStack() as stack:
        contenders = {
            LIMIT: partial(_load, bench, _start_bare(bench, stack)),
            _SQLITE: partial(_load, bench, stack.enter_context(start_task_manager(bench)).ready().address),
        }
        if not bench.smoke:
            busy = stack.enter_context(start_task_manager(bench)).ready()
            _start_agent(bench, stack, busy)
            server = stack.enter_context(postgres(bench))
            on_postgres = stack.enter_context(start_task_manager(bench, server.url(server.create_database()))).ready()
            contenders[_AT_WORK] = partial(_load, bench, busy.address, _AGENT)
            contenders[_POSTGRESQL] = partial(_load, bench, on_postgres.address)
        measured = in_turn(contenders, bench.rounds, warm_up=not bench.smoke)
    return [
        _row(figure, store, series(measured, lambda each, figure=figure: each[figure]))  # type: ignore[misc]
        for store in contenders
        if store != LIMIT
        for figure in ("p50", "p99")
    ]


def _row(figure: str, store: str, measured: dict[str, Series]) -> Row:
    targets = [] if store == _POSTGRESQL else [Target("<=", 2, LIMIT)]
    note = {
        _SQLITE: "a new task is a row, an event, an id that is free, a count of those that wait, and a log line",
        _AT_WORK: "each task is claimed, begun and ended meanwhile: three more commits, by two more processes",
        _POSTGRESQL: "two round trips to a database in another process",
    }[store]
    limit = {LIMIT: measured[LIMIT]}
    return Row(f"CreateTask, {store}, {RATE} a second: {figure}", "ms", measured[store], limit, targets, note)


def _load(bench: Bench, address: str, agent: str = "") -> Any:
    # A load that comes late is not the one that was asked for; a smoke run only shows that it works.
    late = ["--late", 10] if bench.smoke else []
    return run_load("create_tasks", address, "--rate", RATE, "--seconds", bench.seconds, f"--agent={agent}", *late)


def _start_bare(bench: Bench, stack: ExitStack) -> str:
    port = free_port()
    command = [bench.python(OURS), str(PROGRAMS / "bare_create.py")]
    bare = Process(command, bench.new_folder("bare"), {"PORT": str(port)})
    stack.enter_context(bare).says("ready")
    return f"127.0.0.1:{port}"


def _start_agent(bench: Bench, stack: ExitStack, manager: TaskManager) -> None:
    """Start the agent that runs what is created for it."""
    environment = {
        "OUTLAST_AGENT": _AGENT,
        "OUTLAST_HOST": "127.0.0.1",
        "OUTLAST_PORT": str(free_port()),
        "OUTLAST_TASK_MANAGER": manager.address,
    }
    command = [bench.python(OURS), str(PROGRAMS / "agent_ours.py")]
    agent = Process(command, bench.new_folder("agent"), environment)
    stack.enter_context(agent).answers(f"http://127.0.0.1:{environment['OUTLAST_PORT']}/ping")
