"""What a run says of the code that it measures."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.harness import checkout


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkout with one commit."""
    monkeypatch.setattr(checkout, "ROOT", tmp_path)
    (tmp_path / "app.py").write_text("one")
    _commit(tmp_path)
    return tmp_path


def _commit(root: Path) -> None:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    for command in (("init", "--quiet"), ("add", "."), (*who, "commit", "--quiet", "--message", "Change")):
        subprocess.run(["git", *command], cwd=root, check=True)


def test_a_file_that_is_changed_or_new_is_told(root: Path) -> None:
    """Both may change what is measured."""
    clean = checkout.commit()

    (root / "app.py").write_text("two")
    assert checkout.commit() == f"{clean}-changed"

    (root / "app.py").write_text("one")
    (root / "new.py").touch()
    assert checkout.commit() == f"{clean}-changed"


def test_a_recorded_run_changes_nothing(root: Path) -> None:
    """Else a second part of the same run would not be of the same commit."""
    clean = checkout.commit()
    (root / "benchmarks" / "results").mkdir(parents=True)
    (root / "benchmarks" / "results" / "day.md").touch()

    assert checkout.commit() == clean


def test_a_checkout_that_changes_meanwhile_is_told(root: Path) -> None:
    """A run takes half an hour, in which somebody may commit."""
    first = checkout.commit()
    assert checkout.since(first) == first

    (root / "app.py").write_text("two")
    _commit(root)

    assert checkout.since(first) == f"{first}-changed"
    assert checkout.since(f"{first}-changed") == f"{first}-changed"


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout may be an unpacked archive."""
    monkeypatch.setattr(checkout, "ROOT", tmp_path / "gone")

    assert checkout.commit() == "unknown"
