"""``python -m benchmarks --smoke``: every question can be asked, with what the development environment has."""

from __future__ import annotations

import json
import pkgutil
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import questions

#: Some 15 seconds of processor time, nearly all of it for starting 40 processes; other tests run beside them.
pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Run:
    """What one run printed and recorded."""

    said: str
    table: str
    rows: list[dict[str, object]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Ask all questions once."""
    if not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("the benchmarks read processor time and memory from Linux's /proc")
    results = tmp_path_factory.mktemp("results")
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--results", str(results)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (table,) = results.glob("*.md")
    return Run(done.stderr, table.read_text(), json.loads(table.with_suffix(".json").read_text()))


def test_every_file_is_a_question() -> None:
    """A file that is not named would never be asked, and a name without a file cannot be."""
    assert sorted(questions.NAMES) == sorted(module.name for module in pkgutil.iter_modules(questions.__path__))


def test_every_question_is_asked(run: Run) -> None:
    """Each says what it asks before it does."""
    asked = re.findall(r"^ *[\d.]+s  (\w+): ", run.said, re.MULTILINE)

    assert sorted(name for name in asked if name in questions.NAMES) == sorted(questions.NAMES)
    assert len(run.rows) >= len(questions.NAMES)


def test_the_rows_have_the_shape_that_readers_expect(run: Run) -> None:
    """Figures are numbers above nought, or nought, and each peer has its own."""
    for row in run.rows:
        assert list(row) == ["question", "ours", "unit", "peers", "ratio", "target", "met"]
        assert isinstance(row["question"], str)
        assert isinstance(row["unit"], str)
        assert isinstance(row["peers"], dict)
        assert all(isinstance(value, float | int) and value >= 0 for value in (row["ours"], *row["peers"].values()))
        assert row["ratio"] is None or isinstance(row["ratio"], float | int)
        assert isinstance(row["target"], str)
        assert isinstance(row["met"], bool) if row["target"] else row["met"] is None
    assert len({str(row["question"]) for row in run.rows}) == len(run.rows)


def test_the_table_says_what_was_measured(run: Run) -> None:
    """Figures depend on the versions of more than the code that is measured."""
    assert re.search(r"SQLite [\d.]+, aiohttp [\d.]+, grpcio [\d.]+", run.table)


def test_the_table_has_a_line_for_each_row(run: Run) -> None:
    """Both are the same run."""
    lines = [line for line in run.table.splitlines() if line.startswith("| ")]

    assert [line.split("|")[1].split("<br>")[0].strip() for line in lines[1:]] == [row["question"] for row in run.rows]
