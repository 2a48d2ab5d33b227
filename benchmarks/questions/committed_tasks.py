"""Invocations a second that each start a background task; ours is committed to disk before the answer."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

from benchmarks.harness.agents import ORIGINAL, OURS, Agent, running_agents, store_of
from benchmarks.harness.bench import Bench
from benchmarks.harness.invoked import Invoked, invoke, rates_and_costs
from benchmarks.harness.process import PATIENCE
from benchmarks.harness.rounds import in_turn
from benchmarks.harness.row import Row
from benchmarks.harness.target import Target

_BODY = {"task": True}
#: The line of a decorated function's end, which both write: NAME (0.000s).
_LINE = "Async task completed: work (0."
_NOTE = "the original keeps a task in a dict while it runs, and nothing afterwards; ours is on disk, with its events"


def ask(bench: Bench) -> list[Row]:
    """Measure both in turn, and see to it that each task is on record when its invocation is answered."""
    with running_agents(bench, OURS, ORIGINAL) as agents:
        _see_that_answers_wait(agents[OURS])
        measured = in_turn(
            {OURS: lambda: _ours(agents[OURS], bench), ORIGINAL: lambda: _invoke(agents[ORIGINAL], ORIGINAL, bench)},
            bench.rounds,
            warm_up=not bench.smoke,
        )
    rates, costs = rates_and_costs(measured)
    return [
        Row(
            "invocations a second, each with a task that is committed before the answer",
            "1/s",
            rates.pop(OURS),
            rates,
            [Target(">=", 2, ORIGINAL)],
            _NOTE,
        ),
        Row("processor time of an invocation with a task", "us", costs.pop(OURS), costs),
    ]


def _invoke(agent: Agent, kind: str, bench: Bench) -> Invoked:
    return invoke(agent, kind, _BODY, bench.seconds, _LINE)


def _ours(agent: Agent, bench: Bench) -> Invoked:
    before = _recorded(agent)[0]
    measured = _invoke(agent, OURS, bench)
    made = _recorded(agent)[0] - before
    if made < measured.requests:
        raise SystemExit(f"{made} tasks are on record where {measured.requests} invocations were answered")
    deadline = time.monotonic() + PATIENCE
    while True:
        made, completed = _recorded(agent)
        if made == completed:
            return measured
        if time.monotonic() > deadline:
            raise SystemExit(f"of {made} tasks {completed} are recorded as completed")
        time.sleep(0.05)


def _see_that_answers_wait(agent: Agent) -> None:
    """See to it, a few times, that another reader of the store finds the task as soon as there is the answer."""
    for count in range(1, 11):
        agent.post(_BODY)
        if (found := _recorded(agent)[0]) != count:
            raise SystemExit(f"{found} tasks are on record where {count} invocations were answered")


def _recorded(agent: Agent) -> tuple[int, int]:
    """Return how many tasks are committed, and how many of them have completed."""
    with closing(sqlite3.connect(f"file:{store_of(agent)}?mode=ro", uri=True)) as store:
        made, completed = store.execute("SELECT count(*), count(*) FILTER (WHERE state = 3) FROM tasks").fetchone()
    return made, completed
