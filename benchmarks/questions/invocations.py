"""Invocations a second: an async handler that returns a small dict, default logging to a file, 16 connections."""

from __future__ import annotations

from functools import partial

from benchmarks.harness.agents import BARE, ORIGINAL, OURS, running_agents
from benchmarks.harness.bench import Bench
from benchmarks.harness.invoked import invoke, rates_and_costs
from benchmarks.harness.rounds import in_turn
from benchmarks.harness.row import Row
from benchmarks.harness.target import Target


def ask(bench: Bench) -> list[Row]:
    """Measure the three in turn."""
    with running_agents(bench, OURS, ORIGINAL, BARE) as agents:
        measured = in_turn(
            {kind: partial(invoke, agent, kind, {"prompt": "hello"}, bench.seconds) for kind, agent in agents.items()},
            bench.rounds,
            warm_up=not bench.smoke,
        )
    rates, costs = rates_and_costs(measured)
    return [
        Row(
            "invocations a second",
            "1/s",
            rates.pop(OURS),
            rates,
            [Target(">=", 5, ORIGINAL), Target(">=", 0.6, BARE)],
            "bare aiohttp logs nothing and checks nothing: it is the limit",
        ),
        Row(
            "processor time of an invocation",
            "us",
            costs.pop(OURS),
            costs,
            note="of the agent's process, all its threads; what of a second core is idle does not show in the rate",
        ),
    ]
