"""The command behind ``make bench``."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import traceback
from pathlib import Path

from benchmarks import questions
from benchmarks.harness import machine, report
from benchmarks.harness.bench import Bench
from benchmarks.harness.environments import ROOT, Environments
from benchmarks.harness.row import Row


def main() -> int:
    """Ask the questions that are named, or all; show the table, and record it. Return 1 where one has no answer."""
    options = _options()
    environments = Environments(None if options.smoke else ROOT / ".build" / "bench")
    environments.install_ours()
    rows: list[Row] = []
    unanswered: list[str] = []
    # Beside the checkout and not in /tmp, which may be memory.
    (ROOT / ".build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-run-", dir=ROOT / ".build") as folder:
        bench = Bench(environments, Path(folder), options.rounds, smoke=options.smoke, large=options.large)
        bench.say(f"{machine.describe()}; {machine.load()}")
        for name in options.questions or questions.NAMES:
            question = importlib.import_module(f"benchmarks.questions.{name}")
            bench.say(f"{name}: {(question.__doc__ or '').splitlines()[0]}")
            try:
                answered = question.ask(bench)
            except (Exception, SystemExit):  # half an hour's other answers are not to be lost with it
                traceback.print_exc()
                unanswered.append(name)
                continue
            print(report.table(answered), flush=True)
            rows += answered
    if options.results is not None:
        print(f"recorded in {report.record(rows, options.results, rounds=options.rounds)}")
    if unanswered:
        print(f"not answered: {', '.join(unanswered)}; see above", file=sys.stderr)
    return 1 if unanswered else 0


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
    sys.exit(main())
