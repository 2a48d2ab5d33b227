"""What a session host keeps in its folder."""

from __future__ import annotations

import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from outlastd.session_host.host_folder import HostFolder


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room for sockets, so that no other one is made for them, of this user's own."""
    with tempfile.TemporaryDirectory(prefix="outlast-") as folder:
        yield Path(folder)


def test_a_folder_keeps_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first machine's name stays that of the host: a container made anew has another, and the same sessions."""
    folder = HostFolder.open(tmp_path / "host")
    monkeypatch.setattr(socket, "gethostname", lambda: "first")
    assert folder.owner() == "first"

    monkeypatch.setattr(socket, "gethostname", lambda: "second")
    assert folder.owner() == "first"
    folder.close()
    again = HostFolder.open(tmp_path / "host")
    assert again.owner() == "first"
    again.close()


def test_a_folder_of_somebody_elses_stays_as_it_is(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume may be root's, and this user's by its group: then its rights are not this user's to change."""
    volume = short_path / "volume"
    volume.mkdir()
    volume.chmod(0o775)

    monkeypatch.setattr("os.geteuid", lambda: volume.stat().st_uid + 1)
    HostFolder.open(volume).close()
    assert stat.S_IMODE(volume.stat().st_mode) == 0o775

    monkeypatch.undo()
    HostFolder.open(volume).close()
    assert stat.S_IMODE(volume.stat().st_mode) == 0o711
