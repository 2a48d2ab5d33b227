"""A run on record: a table for people, and the same rows as JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.harness import machine
from benchmarks.harness.rounds import Series
from benchmarks.harness.row import Row

_MET = {True: "yes", False: "**no**", None: ""}


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table: medians, with the lowest and highest round, and a ratio to each peer."""
    lines = ["| question | unit | outlast | beside it | ratio | to reach | met |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        peers = "<br>".join(f"{name}: {_figure(series)}" for name, series in row.peers.items())
        ratio = "<br>".join("-" if (own := row.ratio_to(name)) is None else f"{own:.3g}" for name in row.peers)
        question = f"{row.question}<br><sub>{row.note}</sub>" if row.note else row.question
        reach = "<br>".join(map(str, row.targets)).replace("<", "&lt;").replace("&lt;br>", "<br>")
        lines.append(
            f"| {question} | {row.unit} | {_figure(row.ours)} | {peers} | {ratio} | {reach} | {_MET[row.met]} |"
        )
    return "\n".join(lines) + "\n"


def record(rows: Sequence[Row], folder: Path, *, rounds: int) -> Path:
    """Write a run's table and JSON, named by day and commit; return the table's path."""
    folder.mkdir(parents=True, exist_ok=True)
    commit = _commit()
    path = folder / f"{datetime.now(UTC):%Y-%m-%d}-{commit}.md"
    heading = (
        f"# Benchmarks at {commit}\n\n{machine.describe()}; {rounds} rounds in turn; {machine.load()} at the end.\n"
    )
    legend = (
        "Medians, with the lowest and the highest round; the ratio is ours to the peer's, the median of the rounds."
    )
    path.write_text(f"{heading}{legend}\n\n{table(rows)}")
    path.with_suffix(".json").write_text(json.dumps([row.as_json() for row in rows], indent=1) + "\n")
    return path


def _figure(series: Series) -> str:
    low, high = series.spread
    middle = _number(series.median)
    return middle if low == high else f"{middle} ({_number(low)} to {_number(high)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _commit() -> str:
    """Return the short commit of the checkout; with ``-changed`` where files differ from it."""
    try:
        git = ["git", "-C", str(Path(__file__).parent)]
        commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True)
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip() + ("-changed" if changed.stdout.strip() else "")
