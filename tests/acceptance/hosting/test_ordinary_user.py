"""A host that is no root: its sessions have its own user, and everything but that separation holds."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Sequence

import pytest

from ..agent_process import until
from .conftest import PLAIN, TASKS, Hosts
from .host_process import session_id
from .processes import user

#: Becomes another user and then the command behind it.
BECOME = "import os, sys; os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[1])); "
BECOME += "os.execv(sys.argv[3], sys.argv[3:])"


@pytest.fixture
def under(hosts: Hosts) -> Sequence[str]:
    """Return what makes a command an ordinary user's: nothing, for a suite that is one's already."""
    if os.geteuid() != 0:
        return ()
    nobody = pwd.getpwnam("nobody")
    os.chown(hosts.folder, nobody.pw_uid, nobody.pw_gid)
    become = (sys.executable, "-I", "-S", "-c", BECOME, str(nobody.pw_uid), str(nobody.pw_gid))
    reading = subprocess.run([*become, sys.executable, "-c", f"import outlast; open({__file__!r})"], check=False)
    if reading.returncode != 0:
        pytest.skip("an ordinary user cannot read this Python and these sources")
    return become


def test_a_host_of_an_ordinary_user(hosts: Hosts, under: Sequence[str]) -> None:
    """Its sessions run as its own user; a stop, and a kill of the host, leave nothing even of daemons."""
    agents = PLAIN + 'stop_grace = "1s"\n' + TASKS
    host = hosts.start(agents, users="auto", under=under)
    first, second = session_id(), session_id()
    answer = host.invoke("plain", {"daemon": True, "child": True, "ignore_sigterm": True}, first)
    assert user(answer["pid"]) == user(host.pid) != 0
    started = host.invoke("tasks", {"do": "start", "word": "x", "seconds": 600}, second)
    assert user(started["pid"]) == user(host.pid)
    assert {answer["pid"], answer["daemon"], answer["child"], started["pid"]} <= hosts.guests()
    folder = host.invoke("plain", {"python": "answer = os.getcwd()"}, first)["python"]
    host.stop_session("plain", first)
    assert hosts.guests() == {started["pid"]}
    assert not os.path.exists(folder) or not os.listdir(folder)

    host.invoke("plain", {"daemon": True}, first)
    host.kill()
    until(lambda: not hosts.guests(), "the end of every process of every session")
    host = hosts.start(agents, users="auto", under=under)
    assert {one["endReason"] for one in host.sessions()} == {"HOST_LOST"}
    assert host.invoke("tasks", {}, second)["pid"] != started["pid"]


def test_users_that_only_root_can_give(hosts: Hosts, under: Sequence[str]) -> None:
    """Told to give sessions users of their own, it does not start, and says why."""
    host = hosts.start(PLAIN, users="61184-65519", ready=False, under=under)
    assert host.wait() == 1
    assert "root" in "\n".join(host.errors)
