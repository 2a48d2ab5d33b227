"""Tasks at work at once on one task manager: whether all are held, and how much memory each takes, and where."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from benchmarks.harness.agents import ORIGINAL, OURS, Agent
from benchmarks.harness.bench import PROGRAMS, Bench
from benchmarks.harness.load import run_load
from benchmarks.harness.postgres import postgres
from benchmarks.harness.process import free_port
from benchmarks.harness.rounds import in_turn, series
from benchmarks.harness.row import Row
from benchmarks.harness.target import Target
from benchmarks.harness.task_managers import TaskManager, start_task_manager
from tests.postgres_server import PostgresServer

ASYNCIO = "asyncio.Task that waits"
DICT = f"{ORIGINAL}: a dict"
_BY_HAND, _POSTGRESQL = f"{OURS}, by hand", f"{OURS}, PostgreSQL"
_SMALL = [Target("<", 2_000)]
_NOTE = "beside it: what the others have instead, in the agent's process and gone with it"
#: Tasks that one invocation starts: an agent holds so many operations back that are not yet on disk, and no more.
CHUNK = 1_000
#: Tasks that are started before the first look at the memory: what is loaded and made once is no task's.
FIRST = 100


@dataclass(frozen=True)
class _Held:
    """What so many tasks more took, in bytes each."""

    agent: float
    manager: float = 0.0
    #: How many the task manager says are at work.
    count: int = 0


def ask(bench: Bench) -> list[Row]:
    """Measure agent and task manager, each a process of its own, started anew for each round."""
    tasks = 500 if bench.smoke else 100_000 if bench.large else 10_000
    with ExitStack() as stack:
        contenders = {
            OURS: partial(_ours, bench, tasks),
            ASYNCIO: partial(_other, bench, tasks, "hold_bare.py", OURS),
        }
        if not bench.smoke:
            server = stack.enter_context(postgres(bench))
            contenders |= {
                _BY_HAND: partial(_ours, bench, tasks, by_hand=True),
                DICT: partial(_other, bench, tasks, "hold_original.py", ORIGINAL),
                _POSTGRESQL: partial(_ours, bench, tasks, server=server),
            }
        measured = in_turn(contenders, bench.rounds, warm_up=False)
    agents = series(measured, lambda each: each.agent)
    managers = series(measured, lambda each: each.manager)
    counts = series(measured, lambda each: each.count)
    what = f"{tasks:,} tasks at work"
    beside = {name: agents[name] for name in (ASYNCIO, DICT) if name in agents}
    rows = [
        Row(f"{what}: all held", "tasks", counts[OURS], targets=[Target(">=", tasks)]),
        Row(f"{what}: each in the task manager, SQLite", "bytes", managers[OURS], beside, _SMALL, _NOTE),
        Row(f"{what}: each in the agent", "bytes", agents[OURS], {ASYNCIO: agents[ASYNCIO]}),
    ]
    if not bench.smoke:
        by_hand = f"{what}, tracked by hand"
        rows += [
            Row(f"{what}: each in the task manager, PostgreSQL", "bytes", managers[_POSTGRESQL], beside, _SMALL, _NOTE),
            Row(f"{by_hand}: each in the task manager, SQLite", "bytes", managers[_BY_HAND], beside, _SMALL, _NOTE),
            Row(f"{by_hand}: each in the agent", "bytes", agents[_BY_HAND], {DICT: agents[DICT]}),
        ]
    return rows


def _ours(bench: Bench, tasks: int, *, by_hand: bool = False, server: PostgresServer | None = None) -> _Held:
    store = server.url(server.create_database()) if server is not None else ""
    with start_task_manager(bench, store) as manager:
        environment = {
            "OUTLAST_HOST": "127.0.0.1",
            "OUTLAST_TASK_MANAGER": manager.ready().address,
            "OUTLAST_SHUTDOWN_GRACE": "0",
        }
        with _agent(bench, "hold_ours.py", OURS, environment) as agent:
            held = _hold(bench, agent, tasks, manager, by_hand=by_hand)
        manager.kill()  # else it would first end what nobody needs any more
        return held


def _other(bench: Bench, tasks: int, program: str, kind: str) -> _Held:
    with _agent(bench, program, kind, {}) as agent:
        return _hold(bench, agent, tasks)


def _hold(
    bench: Bench, agent: Agent, tasks: int, manager: TaskManager | None = None, *, by_hand: bool = False
) -> _Held:
    """Start tasks, and return what they take; an answer of ours says that they are on disk."""
    _start(agent, FIRST, by_hand)
    time.sleep(bench.seconds / 5)
    in_agent, in_manager = agent.memory, manager.memory if manager else 0
    _start(agent, tasks, by_hand)
    time.sleep(bench.seconds / 5)
    in_agent, in_manager = agent.memory - in_agent, (manager.memory if manager else 0) - in_manager
    count = run_load("count_tasks", manager.address) - FIRST if manager else 0
    return _Held(in_agent / tasks, in_manager / tasks, count)


def _start(agent: Agent, tasks: int, by_hand: bool) -> None:
    for first in range(0, tasks, CHUNK):
        answer = agent.post({"start": min(CHUNK, tasks - first), "by_hand": by_hand})
        if answer != {"result": "ok"}:
            raise SystemExit(f"tasks were not started: {answer}")


@contextmanager
def _agent(bench: Bench, program: str, kind: str, environment: Mapping[str, str]) -> Iterator[Agent]:
    port = free_port()
    ports = {"PORT": str(port), "OUTLAST_PORT": str(port)}
    command = [bench.python(kind), str(PROGRAMS / program)]
    with Agent(command, bench.new_folder("agent"), {**environment, **ports}, port) as agent:
        yield agent.ready()
        agent.kill()  # asyncio takes minutes to cancel 100,000 tasks that wait for one thing
