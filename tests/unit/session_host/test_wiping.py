"""How what a session has left is removed."""

from __future__ import annotations

import os
from pathlib import Path

from outlastd.session_host.wiping import wipe


def test_everything_goes_and_nothing_beside_it(tmp_path: Path) -> None:
    """Files, links and folders that nobody may enter are removed; what a link points to is not."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    (outside / "kept").write_text("here")
    folder = tmp_path / "session"
    locked = folder / "a" / "locked"
    locked.mkdir(parents=True)
    (locked / "file").write_text("x")
    (folder / "to-folder").symlink_to(outside)
    (folder / "to-nothing").symlink_to("nowhere")
    os.mkfifo(folder / "fifo")
    (folder / "bad-\udcff").touch()
    locked.chmod(0)

    wipe(folder)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside"]
    assert (outside / "kept").read_text() == "here"
    assert outside.stat().st_mode & 0o777 == 0o700


def test_folders_may_be_deeper_than_any_path(tmp_path: Path) -> None:
    """A guest can make more of them than a recursion, a path or the open files of the host allow."""
    folder = tmp_path / "session"
    folder.mkdir()
    at = os.open(folder, os.O_RDONLY)
    for _ in range(3_000):
        os.mkdir("deeper", dir_fd=at)
        below = os.open("deeper", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)

    wipe(folder)

    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_host_began_is_finished(tmp_path: Path) -> None:
    """The folder itself may be moved already."""
    (tmp_path / "session.wiped" / "0" / "a").mkdir(parents=True)

    wipe(tmp_path / "session")
    wipe(tmp_path / "session")

    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_place_of_the_folder_is_no_folder(tmp_path: Path) -> None:
    """The link goes, and what it points to stays."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "session").symlink_to(tmp_path / "kept")

    wipe(tmp_path / "session")

    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
