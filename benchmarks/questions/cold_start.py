"""A session's first answered invocation through the session host, beside the original's start to its first ping."""

from __future__ import annotations

import re
import time
from collections import Counter
from functools import partial

from benchmarks.harness.agents import ORIGINAL, OURS, start_agent
from benchmarks.harness.bench import Bench
from benchmarks.harness.invoked import ANSWER
from benchmarks.harness.rounds import Series, in_turn
from benchmarks.harness.row import Row
from benchmarks.harness.session_hosts import SessionHost
from benchmarks.harness.target import Target
from benchmarks.load.latencies import percentile

#: A line of Python's own: "import time: SELF [us] | CUMULATIVE | MODULE"; of the module the first name.
_IMPORT = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\w+)", re.MULTILINE)


def ask(bench: Bench) -> list[Row]:
    """Start one and then the other, each alone, ten times a round."""
    with SessionHost(bench) as host:
        host.ready()
        starts = {OURS: partial(_ours, host, "agent"), ORIGINAL: partial(_original, bench)}
        milliseconds = in_turn(starts, 1 if bench.smoke else 10 * bench.rounds, warm_up=not bench.smoke)
        notes = {
            "p50": "to the first answered invocation; the original's process to its first answered ping",
            "p95": _what_dominates(host),
        }
    rows = []
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        figures = {kind: Series([percentile(sorted(each), share)]) for kind, each in milliseconds.items()}
        rows.append(
            Row(
                f"session cold start, {name} of {len(milliseconds[OURS])}",
                "ms",
                figures.pop(OURS),
                figures,
                [Target("<=", 1, ORIGINAL)],
                notes[name],
            )
        )
    return rows


def _ours(host: SessionHost, agent: str) -> float:
    """Return the milliseconds of the first invocation in a new session."""
    session = f"session-{time.time_ns():033}"
    began = time.perf_counter()
    answer = host.invoke(agent, session)
    taken = time.perf_counter() - began
    if answer != ANSWER:
        raise SystemExit(f"a session answers {answer}")
    host.end(agent, session)
    return taken * 1_000


def _original(bench: Bench) -> float:
    with start_agent(bench, ORIGINAL) as agent:
        agent.ready()
        return (time.perf_counter() - agent.began) * 1_000


def _what_dominates(host: SessionHost) -> str:
    """Start one more session, whose interpreter says how long its imports take."""
    taken = _ours(host, "profiled")
    own: Counter[str] = Counter()
    for microseconds, package in _IMPORT.findall(host.said()):
        own[package] += int(microseconds)
    imports, largest = own.total() / taken / 1_000, ", ".join(package for package, _ in own.most_common(5))
    return f"imports are {imports:.0%} of ours, most in {largest} (python -X importtime, one start of {taken:.0f} ms)"
