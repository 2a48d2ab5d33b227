"""The users that sessions get."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from outlastd.session_host import users as users_module
from outlastd.session_host.users import Users

_HOLD = """
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX, 1, int(sys.argv[2]))
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have the locks in a folder of the test's own: other tests and hosts of the machine have the real ones."""
    monkeypatch.setattr(users_module, "_MACHINE_WIDE", tmp_path / "nowhere" / "users.lock")
    return tmp_path


def test_no_user_is_given_twice(folder: Path) -> None:
    """They go round: one that is given back is the last to come again."""
    users = Users(range(4_000_000_000, 4_000_000_003), folder)
    first = [users.take() for _ in range(2)]
    users.give_back(first[0])
    later = [users.take() for _ in range(2)]

    assert sorted(first + later[:1]) == list(range(4_000_000_000, 4_000_000_003))
    assert later[1] == first[0]
    with pytest.raises(LookupError, match="name more with `users`"):
        users.take()
    users.close()


def test_a_user_that_runs_something_is_passed_over(folder: Path) -> None:
    """Whatever is left of somebody must not be beside a new session as the same user."""
    nobody = 4_000_000_000
    users = Users(range(os.geteuid(), nobody + 1, nobody - os.geteuid()), folder)

    assert users.take() == nobody
    users.close()


def test_another_host_of_the_machine_has_other_users(folder: Path) -> None:
    """A lock for each user, which ends with the process that holds it, keeps them apart."""
    users = Users(range(4_000_000_000, 4_000_000_002), folder)
    arguments = [sys.executable, "-c", _HOLD, str(folder / "users.lock"), "4000000000"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()

        assert users.take() == 4_000_000_001
        with pytest.raises(LookupError):
            users.take()
        other.communicate()
    assert users.take() == 4_000_000_000
    users.close()
