"""Runs on record: in which file each is, and what a reader is told of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.harness import machine, report
from benchmarks.harness.rounds import Series
from benchmarks.harness.row import Row

FIRST = Row("how many", "1/s", Series([900, 1_000, 1_100]))
OTHER = Row("how long", "ms", Series([12.345]))
RUN = report.Run("abc1234", datetime(2026, 11, 22, 10, 30, tzinfo=UTC), 3, {"outlast": "0.1", "Redis": "7.0"})


def test_a_run_is_recorded_twice(tmp_path: Path) -> None:
    """The table for people, with what it was made on, and the rows as JSON beside it under the same name."""
    path = report.record([FIRST, OTHER], tmp_path / "results", RUN)

    text = path.read_text()
    assert path.name.endswith("-abc1234.md")
    assert report.table([FIRST, OTHER]) in text
    assert all(part in text for part in (machine.describe(), "3 rounds", "10:30 to ", "outlast 0.1, Redis 7.0."))
    assert json.loads(path.with_suffix(".json").read_text()) == [FIRST.as_json(), OTHER.as_json()]


def test_questions_that_are_asked_in_parts_share_a_file(tmp_path: Path) -> None:
    """Each part says its own circumstances, and the rows are those of all parts."""
    path = report.record([FIRST], tmp_path, RUN)

    assert report.record([OTHER], tmp_path, replace(RUN, rounds=5, unanswered=["start"])) == path

    first, second = path.read_text().split(report.table([FIRST]))
    assert "3 rounds" in first
    assert "5 rounds" in second
    assert "Not answered: start." in second
    assert second.endswith(report.table([OTHER]))
    assert json.loads(path.with_suffix(".json").read_text()) == [FIRST.as_json(), OTHER.as_json()]


def test_a_question_that_is_asked_again_makes_another_file(tmp_path: Path) -> None:
    """No run takes the place of another, and the third does not hide the second."""
    paths = [report.record(rows, tmp_path, RUN) for rows in ([FIRST], [OTHER, FIRST], [FIRST])]

    assert [path.stem.partition("abc1234")[2] for path in paths] == ["", "-2", "-3"]
    assert json.loads(paths[0].with_suffix(".json").read_text()) == [FIRST.as_json()]


@pytest.mark.parametrize("commit", ["abc1234-changed", "unknown"])
def test_code_that_no_commit_names_is_never_put_together(tmp_path: Path, commit: str) -> None:
    """Two checkouts that differ from the same commit may differ from each other."""
    run = replace(RUN, commit=commit)

    assert report.record([FIRST], tmp_path, run) != report.record([OTHER], tmp_path, run)


def test_machines_are_never_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of two machines do not belong in one file."""
    path = report.record([FIRST], tmp_path, RUN)
    monkeypatch.setattr(machine, "describe", lambda: "another machine")

    assert report.record([OTHER], tmp_path, RUN) != path
