"""How long /ping takes while 40 sync handlers block and a task burns CPU."""

from __future__ import annotations

from functools import partial

from benchmarks.harness.agents import ORIGINAL, OURS, Agent, running_agents
from benchmarks.harness.bench import Bench
from benchmarks.harness.load import run_load
from benchmarks.harness.rounds import in_turn, series
from benchmarks.harness.row import Row
from benchmarks.harness.target import Target

#: Seconds that each handler blocks, as one that waits for a model does.
_BLOCK = 3.0
_NOTE = (
    f"50 pings a second at fixed times; each handler blocks for {_BLOCK:g} s, and 40 are kept up all the time; the "
    "original answers pings on the 40 threads that its handlers have, so its figure follows how long they block"
)


def ask(bench: Bench) -> list[Row]:
    """Measure both in turn; the other one idles meanwhile."""
    with running_agents(bench, OURS, ORIGINAL, program="blocking") as agents:
        measured = in_turn(
            {kind: partial(_ping, agent, bench) for kind, agent in agents.items()},
            bench.rounds,
            warm_up=not bench.smoke,
        )

    def row(question: str, name: str, targets: list[Target], note: str = "") -> Row:
        figures = series(measured, lambda each: each[name])
        return Row(question, "ms", figures.pop(OURS), figures, targets, note)

    targets = [Target("<", 50), Target("<=", 1 / 20, ORIGINAL)]
    return [
        row("p99 of /ping while 40 sync handlers block and a task burns CPU", "p99", targets, _NOTE),
        row("p50 of /ping then", "p50", []),
        row("longest /ping then", "longest", []),
    ]


def _ping(agent: Agent, bench: Bench) -> dict[str, float]:
    """Return percentiles in milliseconds.

    Raises:
        SystemExit: far fewer handlers were blocked than there should have been.
    """
    seconds, block, settle, handlers = (0.1, 0.05, 0.05, 10) if bench.smoke else (6.0, _BLOCK, 0.5, 40)
    options = ("--seconds", seconds, "--block", block, "--settle", settle, "--handlers", handlers)
    answered: dict[str, float] = run_load("pings", agent.url, *options)
    if answered["blocked"] < 30 and not bench.smoke:
        raise SystemExit(f"on average only {answered['blocked']:.1f} handlers were blocked at a time")
    return answered
