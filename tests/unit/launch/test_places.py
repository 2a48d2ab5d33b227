"""Where a process with an embedded task manager keeps its socket and its lock."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from outlast.core.errors import StartRefused
from outlast.limits import MAX_SOCKET_PATH
from outlastd.launch.places import make_places


def test_socket_and_lock_stand_beside_a_store_that_is_a_file(tmp_path: Path) -> None:
    """In a folder that nobody else may enter; only the socket is removed at the end."""
    store = tmp_path / ".outlast" / "agent.db"

    places = make_places(store, "w")
    places.socket.touch()
    places.clear()

    run = store.parent / "run"
    assert places.lock == run / "w.lock"
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert not places.socket.exists()
    assert run.exists()


def test_a_socket_whose_path_would_be_too_long_stands_elsewhere(tmp_path: Path) -> None:
    """In a private folder that goes with it; the lock stays with the store."""
    store = tmp_path / ("x" * MAX_SOCKET_PATH) / "agent.db"

    places = make_places(store, "w")
    assert len(os.fsencode(places.socket)) <= MAX_SOCKET_PATH
    assert places.lock is not None
    assert places.lock.is_relative_to(store.parent)
    places.clear()

    assert not places.socket.parent.exists()


def test_a_store_elsewhere_leaves_nothing_on_this_machine() -> None:
    """A database server has no folder here: the socket has a private one, and there is no lock to look at."""
    places = make_places(None, "w")

    assert places.lock is None
    assert stat.S_IMODE(places.socket.parent.stat().st_mode) == 0o700
    places.clear()
    assert not places.socket.parent.exists()


def test_no_temporary_folder_refuses_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that names a variable: such is a container whose root file system cannot be written."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))

    with pytest.raises(StartRefused, match=r"no temporary folder can be written .* TMPDIR"):
        make_places(None, "w")


def test_a_folder_that_cannot_be_had_refuses_the_start(tmp_path: Path) -> None:
    """One line that names the store and another way."""
    (tmp_path / "file").touch()

    with pytest.raises(StartRefused, match="OUTLAST_STORE"):
        make_places(tmp_path / "file" / "agent.db", "w")
