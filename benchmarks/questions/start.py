"""What a start costs: the import, app.run() until the first answered ping, and memory at rest."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from functools import partial
from statistics import median

from benchmarks.harness.agents import ORIGINAL, OURS, start_agent
from benchmarks.harness.bench import Bench
from benchmarks.harness.process import inherited_environment
from benchmarks.harness.rounds import in_turn, series
from benchmarks.harness.row import Row
from benchmarks.harness.target import Target

_IMPORTS = {OURS: "from outlast import App", ORIGINAL: "from bedrock_agentcore.runtime import BedrockAgentCoreApp"}
#: The clock runs inside: what the interpreter itself needs to start, and to end, is not in it.
_TIMED = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"
#: Imports in a round, of which the median counts.
_TIMES = 5
_PINGS = 20
#: Seconds after the last ping in which nothing is asked of it.
_REST = 1.0


@dataclass(frozen=True)
class _Start:
    """One start of an agent, alone."""

    #: Milliseconds from the call of ``app.run()``, and from the start of the process, to the first answered ping.
    run: float
    process: float
    #: MiB after some pings.
    memory: float


def ask(bench: Bench) -> list[Row]:
    """Measure both in turn, one process at a time."""
    kinds = (OURS, ORIGINAL)
    warm_up = not bench.smoke
    times = series(
        in_turn({kind: partial(_import, bench, kind) for kind in kinds}, bench.rounds, warm_up=warm_up), lambda ms: ms
    )
    starts = in_turn({kind: partial(_start, bench, kind) for kind in kinds}, bench.rounds, warm_up=warm_up)
    runs, processes, memory = (
        series(starts, lambda each: each.run),
        series(starts, lambda each: each.process),
        series(starts, lambda each: each.memory),
    )
    even = [Target("<=", 1, ORIGINAL)]
    return [
        Row(
            "import of the App",
            "ms",
            times.pop(OURS),
            times,
            [Target("<=", 0.25, ORIGINAL)],
            "without the interpreter's own start",
        ),
        Row("app.run() to the first answered ping", "ms", runs.pop(OURS), runs, even, "ours opens its store meanwhile"),
        Row("start of the process to the first answered ping", "ms", processes.pop(OURS), processes),
        Row(
            "memory at rest",
            "MiB",
            memory.pop(OURS),
            memory,
            even,
            f"Pss after {_PINGS} pings; in ours with task manager and store",
        ),
    ]


def _import(bench: Bench, kind: str) -> float:
    """Return the milliseconds of an import in a new interpreter."""
    command = [bench.python(kind), "-c", _TIMED.format(_IMPORTS[kind])]
    environment = inherited_environment()
    return 1_000 * median(
        float(
            subprocess.run(
                command, cwd=bench.folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
            ).stdout
        )
        for _ in range(1 if bench.smoke else _TIMES)
    )


def _start(bench: Bench, kind: str) -> _Start:
    with start_agent(bench, kind, "start") as agent:
        agent.ready()
        answered = time.perf_counter()
        # The same clock for all processes of a machine, on Linux and macOS.
        called = float((agent.folder / "stdout").read_text().splitlines()[0])
        for _ in range(_PINGS):
            agent.ready()
        if not bench.smoke:
            time.sleep(_REST)
        return _Start((answered - called) * 1_000, (answered - agent.began) * 1_000, agent.memory / 2**20)
