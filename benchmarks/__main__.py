"""The command behind ``make bench``."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks import questions
from benchmarks.harness import checkout, machine, report
from benchmarks.harness.bench import Bench
from benchmarks.harness.environments import ROOT, Environments
from benchmarks.harness.row import Row

#: Questions of a smoke run that are asked at a time.
SIDE_BY_SIDE = 4


def main() -> int:
    """Ask the questions that are named, or all; show the table, and record it. Return 1 where one has no answer."""
    options = _options()
    commit, began = checkout.commit(), datetime.now(UTC)
    environments = Environments(None if options.smoke else ROOT / ".build" / "bench")
    environments.install_ours()
    names = options.questions or questions.NAMES
    # Beside the checkout and not in /tmp, which may be memory.
    (ROOT / ".build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-run-", dir=ROOT / ".build") as folder:
        bench = Bench(environments, Path(folder), options.rounds, smoke=options.smoke, large=options.large)
        bench.say(f"{machine.describe()}; {machine.load()}")
        answers = dict(zip(names, _asked(bench, names), strict=True))
    unanswered = [name for name, rows in answers.items() if rows is None]
    if options.results is not None:
        versions = environments.versions() | bench.versions
        rows = [row for answered in answers.values() for row in answered or ()]
        run = report.Run(checkout.since(commit), began, options.rounds, versions, unanswered)
        print(f"recorded in {report.record(rows, options.results, run)}")
    if unanswered:
        print(f"not answered: {', '.join(unanswered)}; see above", file=sys.stderr)
    return 1 if unanswered else 0


def _asked(bench: Bench, names: Sequence[str]) -> list[list[Row] | None]:
    """Return the answers to questions, None where there is none."""
    if not bench.smoke:
        return [_ask(bench, name) for name in names]
    # Most of their time they wait for processes to start: where nothing is measured they need not be alone.
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        return list(pool.map(partial(_ask, bench), names))


def _ask(bench: Bench, name: str) -> list[Row] | None:
    question = importlib.import_module(f"benchmarks.questions.{name}")
    bench.say(f"{name}: {(question.__doc__ or '').splitlines()[0]}")
    began = time.monotonic()
    try:
        rows: list[Row] = question.ask(bench)
    except (Exception, SystemExit):  # half an hour's other answers are not to be lost with it
        traceback.print_exc()
        return None
    bench.say(f"{name} is answered, in {time.monotonic() - began:.0f} s")
    print(report.table(rows), flush=True)
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure outlast beside its peers.")
    parser.add_argument("questions", nargs="*", choices=[*questions.NAMES, []], help="which; all by default")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, in turn (default 5)")
    parser.add_argument("--results", type=Path, help="a folder to record table and JSON in")
    parser.add_argument("--large", action="store_true", help="100,000 tasks at work, 10 million finished ones")
    parser.add_argument("--smoke", action="store_true", help="seconds, small counts, the current environment")
    options = parser.parse_args()
    if options.smoke:
        options.rounds = 1
    return options


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what fills a disk is removed then too
    sys.exit(main())
