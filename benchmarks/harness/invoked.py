"""Invocations of an agent, counted three times: by who sends them, in its log, and by its processor time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.harness.agents import BARE, Agent
from benchmarks.harness.process import PATIENCE
from benchmarks.harness.rounds import Series, series
from benchmarks.harness.wrk import Load

#: What every handler of benchmarks/programs/agent_*.py returns.
ANSWER = {"result": "ok", "n": 1}
COMPLETED = "Invocation completed successfully ("


@dataclass(frozen=True)
class Invoked:
    """One measurement."""

    #: How many were answered.
    requests: int
    #: Invocations a second.
    rate: float
    #: Microseconds of processor time that the agent's process spent on each.
    cpu: float


def invoke(agent: Agent, kind: str, body: Mapping[str, object], seconds: float, lines: str = COMPLETED) -> Invoked:
    """Send invocations from 16 connections; see to it that the agent writes its lines, where it writes any.

    Raises:
        SystemExit: one was not answered well, or is not in the log.
    """
    cpu, already = agent.cpu, agent.wrote(lines)
    answered = Load(f"{agent.url}/invocations", body, ANSWER).run(agent.folder, seconds)
    spent = agent.cpu - cpu
    if kind != BARE:
        _wait_for_lines(agent, lines, already + answered.requests)
    return Invoked(answered.requests, answered.rate, spent / answered.requests * 1e6)


def rates_and_costs(measured: Mapping[str, Iterable[Invoked]]) -> tuple[dict[str, Series], dict[str, Series]]:
    """Return what came of rounds: invocations a second, and microseconds of processor time of each."""
    return series(measured, lambda each: each.rate), series(measured, lambda each: each.cpu)


def _wait_for_lines(agent: Agent, lines: str, count: int) -> None:
    """What is written after an answer may still be on its way when the load ends."""
    deadline = time.monotonic() + PATIENCE
    while (written := agent.wrote(lines)) < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{agent.url}: {written} lines {lines!r} where {count} were to be")
        time.sleep(0.05)
