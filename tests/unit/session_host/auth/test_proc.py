"""What is read in /proc, from files in its form."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from outlastd.session_host.auth.proc import Proc, Socket

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LINE = (
    "   0: {local} {remote} 01 00000000:00000000 00:00000000 00000000 {uid:5d}        0 {inode} 1 0000 20 4 30 10 -1\n"
)

pytestmark = pytest.mark.skipif(
    sys.byteorder != "little", reason="the tables here are those of a little-endian machine"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A /proc with a connection from 127.0.0.1:50000 to port 8080 in each table, among others."""
    mine, other = "0100007F:C350", "0100007F:C351"
    mapped = "0000000000000000FFFF00000100007F:C350"
    to_us, elsewhere = "0100007F:1F90", "0100007F:1F91"
    (tmp_path / "net").mkdir()
    lines = [(mine, to_us, 1000, 11), (other, to_us, 0, 12), (mine, elsewhere, 0, 13), (to_us, mine, 0, 14)]
    told = [LINE.format(local=a, remote=b, uid=uid, inode=inode) for a, b, uid, inode in lines]
    (tmp_path / "net" / "tcp").write_text(HEAD + "".join(told))
    line = LINE.format(local=mapped, remote="0000000000000000FFFF00000100007F:1F90", uid=61184, inode=21)
    (tmp_path / "net" / "tcp6").write_text(HEAD + line)
    return tmp_path


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_a_connection_is_found_by_its_ends(root: Path, address: str) -> None:
    """In both tables, whichever way its address is said; the other end of it is another socket."""
    assert Proc(root).sockets(address, 50_000, 8080) == [Socket(1000, 11), Socket(61_184, 21)]
    assert Proc(root).sockets(address, 50_002, 8080) == []


def test_a_machine_without_ipv6_has_one_table_and_others_none(root: Path) -> None:
    """Without the table of IPv4 nothing can be told."""
    (root / "net" / "tcp6").unlink()
    assert Proc(root).sockets("127.0.0.1", 50_000, 8080) == [Socket(1000, 11)]
    (root / "net" / "tcp").unlink()
    with pytest.raises(FileNotFoundError):
        Proc(root).sockets("127.0.0.1", 50_000, 8080)


def test_the_parent_of_a_process_is_found_whatever_its_name(root: Path) -> None:
    """A process may call itself anything, brackets and numbers too."""
    (root / "7").mkdir()
    (root / "7" / "stat").write_bytes(b"7 (a) S 1 (\xff) 2) S 5 7 7 0 -1\n")

    assert Proc(root).parent(7) == 5
    with pytest.raises(FileNotFoundError):
        Proc(root).parent(8)


def test_all_holders_of_a_socket_are_found(root: Path) -> None:
    """Processes that cannot be looked at are left out, and so is what is no process."""
    for pid, targets in (("7", ["pipe:[11]", "socket:[11]"]), ("8", ["socket:[110]"]), ("9", ["socket:[11]"])):
        (root / pid / "fd").mkdir(parents=True)
        for number, target in enumerate(targets):
            os.symlink(target, root / pid / "fd" / str(number))
    (root / "10").mkdir()

    assert sorted(Proc(root).holders(11)) == [7, 9]
    assert list(Proc(root).holders(12)) == []


def test_a_file_that_cannot_be_told_hides_no_other(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may close a file meanwhile, or hold one whose path is too long to be told: the next may be the one."""
    (root / "7" / "fd").mkdir(parents=True)
    for number in range(3):
        os.symlink("socket:[11]", root / "7" / "fd" / str(number))
    errors = iter([FileNotFoundError(errno.ENOENT, "gone"), OSError(errno.ENAMETOOLONG, "too long")])
    readlink = os.readlink

    def failing(path: str) -> str:
        for error in errors:
            raise error
        return readlink(path)

    monkeypatch.setattr(os, "readlink", failing)
    assert list(Proc(root).holders(11)) == [7]
