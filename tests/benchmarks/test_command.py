"""The command behind ``make bench``, with questions of the tests' own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.__main__ import main
from benchmarks.harness.bench import Bench
from benchmarks.harness.rounds import Series
from benchmarks.harness.row import Row


def _fail(bench: Bench) -> list[Row]:
    raise SystemExit("the peer does not answer")


def _answer(bench: Bench) -> list[Row]:
    return [Row("how large", "MiB", Series([float(bench.rounds)]))]


def test_a_question_that_fails_does_not_take_the_others_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run takes half an hour: what was answered is recorded, and the exit code says that something was not."""
    for name, ask in {"invocations": _fail, "start": _answer}.items():
        monkeypatch.setitem(sys.modules, f"benchmarks.questions.{name}", SimpleNamespace(__doc__="How?", ask=ask))
    monkeypatch.setattr(sys, "argv", ["bench", "--smoke", "--results", str(tmp_path), "invocations", "start"])

    assert main() == 1

    (recorded,) = tmp_path.glob("*.json")
    assert [row["question"] for row in json.loads(recorded.read_text())] == ["how large"]
    said = capsys.readouterr()
    assert "the peer does not answer" in said.err
    assert "not answered: invocations" in said.err
    assert "| how large | MiB | 1 |" in said.out
