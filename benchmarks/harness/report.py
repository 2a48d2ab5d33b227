"""A run on record: a table for people, and the same rows as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from benchmarks.harness import checkout, machine
from benchmarks.harness.rounds import Series
from benchmarks.harness.row import Row

_LEGEND = "Medians, with the lowest and the highest round; the ratio is ours to the peer's, the median of the rounds."
_MET = {True: "yes", False: "**no**", None: ""}


@dataclass(frozen=True)
class Run:
    """What a reader has to know of a run to compare it with another."""

    #: As ``checkout.commit`` has it.
    commit: str
    #: UTC.
    began: datetime
    rounds: int
    #: Of what was measured, and of the servers that it used.
    versions: Mapping[str, str]
    #: The questions that failed.
    unanswered: Sequence[str] = ()


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


def record(rows: Sequence[Row], folder: Path, run: Run) -> Path:
    """Write a run's table and JSON, named by day and commit; return the table's path.

    Questions may be asked in several runs: each is a part of one file, with a table and circumstances of its own, as
    long as commit and machine are the same. What was asked before is not asked in place of it: that makes another file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    new = [row.as_json() for row in rows]
    name = f"{datetime.now(UTC):%Y-%m-%d}-{run.commit}"
    path = next(path for path in _places(folder, name) if _takes(path, run, new))
    figures = path.with_suffix(".json")
    before = json.loads(figures.read_text()) if path.exists() else []
    head = "" if path.exists() else f"# Benchmarks at {run.commit}\n\n{_LEGEND}\n"
    with path.open("a") as file:
        file.write(f"{head}\n{_circumstances(run)}\n\n{table(rows)}")
    figures.write_text(json.dumps([*before, *new], indent=1) + "\n")
    return path


def _places(folder: Path, name: str) -> Iterator[Path]:
    yield folder / f"{name}.md"
    yield from (folder / f"{name}-{number}.md" for number in count(2))


def _takes(path: Path, run: Run, rows: Sequence[Mapping[str, object]]) -> bool:
    """Tell whether a file is new, or the rest of the same run."""
    if not path.exists():
        return True
    asked = {row["question"] for row in json.loads(path.with_suffix(".json").read_text())}
    same = run.commit != checkout.UNKNOWN and not run.commit.endswith(checkout.CHANGED)
    return same and machine.describe() in path.read_text() and asked.isdisjoint(row["question"] for row in rows)


def _circumstances(run: Run) -> str:
    lines = [
        f"{machine.describe()}; {run.rounds} rounds in turn; {run.began:%H:%M} to {datetime.now(UTC):%H:%M} UTC, "
        f"{machine.load()} at the end.",
        ", ".join(f"{name} {version}" for name, version in run.versions.items()) + ".",
    ]
    if run.unanswered:
        lines.append(f"**Not answered: {', '.join(run.unanswered)}.**")
    return "\n".join(lines)


def _figure(series: Series) -> str:
    low, high = series.spread
    middle = _number(series.median)
    return middle if low == high else f"{middle} ({_number(low)} to {_number(high)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
