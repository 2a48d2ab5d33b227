"""What cannot work says why, in one line, and ends with an exit code; what fails later refuses work and lives on."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .agent_process import OutlastProcess, until
from .conftest import Launcher


def refusal(process: OutlastProcess) -> str:
    """Return the one line that a process left when it refused to start."""
    assert process.wait() != 0
    told = [line for line in process.errors if line.strip()]
    assert len(told) == 1, "\n".join(told)
    return told[0]


@pytest.fixture
def taken() -> Iterator[int]:
    """Return a port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_the_front_doors_port_is_taken(launch: Launcher, taken: int) -> None:
    """A port that was asked for is not exchanged for another: the line names it."""
    assert str(taken) in refusal(launch.agent("gate.py", OUTLAST_PORT=str(taken)))


def test_the_task_managers_port_is_taken(launch: Launcher, taken: int) -> None:
    """So is the task manager's, embedded or apart."""
    address = f"127.0.0.1:{taken}"
    assert str(taken) in refusal(launch.agent("gate.py", OUTLAST_TASK_MANAGER_LISTEN=address))
    arguments = ["task-manager", "--listen", address, "--store", launch.store]
    assert str(taken) in refusal(launch.bare(*arguments))


def test_the_store_is_a_folder(launch: Launcher, tmp_path: Path) -> None:
    """A folder is no database: the line names it."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    assert str(folder) in refusal(launch.agent("gate.py", OUTLAST_STORE=f"sqlite:///{folder}"))


def test_the_store_cannot_be_made(launch: Launcher, tmp_path: Path) -> None:
    """A path below a file cannot be made, by nobody: the line names it."""
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "tasks.db"
    assert str(path) in refusal(launch.agent("gate.py", OUTLAST_STORE=f"sqlite:///{path}"))


def obeying_modes() -> list[str]:
    """Return the command under which even root obeys the modes of files."""
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write everywhere")
@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_the_store_is_not_writable(launch: Launcher, tmp_path: Path, mode: int) -> None:
    """A folder that may not be written, or not even be entered: the line names the store."""
    folder = tmp_path / "closed"
    folder.mkdir(mode)
    path = folder / "tasks.db"
    agent = launch.agent("gate.py", under=obeying_modes(), OUTLAST_STORE=f"sqlite:///{path}")
    assert str(path) in refusal(agent)


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write everywhere")
def test_a_store_file_that_is_not_writable(launch: Launcher, tmp_path: Path) -> None:
    """A file that may only be read is no store: the line names it."""
    path = tmp_path / "tasks.db"
    launch.ready("gate.py").stop()
    path.chmod(0o400)
    assert str(path) in refusal(launch.agent("gate.py", under=obeying_modes()))


@pytest.mark.parametrize("content", [b"this is no database at all\n" * 400, b"SQLite format 3\x00" + b"\xff" * 8192])
def test_a_corrupt_database(launch: Launcher, tmp_path: Path, content: bytes) -> None:
    """A file that is no database, or a damaged one, is left as it is: the line names it."""
    path = tmp_path / "tasks.db"
    path.write_bytes(content)
    assert str(path) in refusal(launch.agent("gate.py"))
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OUTLAST_PORT", "eighty"),
        ("OUTLAST_PORT", "70000"),
        ("OUTLAST_STORE", "mysql://somewhere"),
        ("OUTLAST_SHUTDOWN_GRACE", "-1"),
        ("OUTLAST_TASK_MANAGER", "nowhere"),
        ("OUTLAST_LOG_LEVEL", "LOUD"),
    ],
)
def test_a_setting_that_cannot_be_taken(launch: Launcher, variable: str, value: str) -> None:
    """The line names the variable and what is wrong with it."""
    assert variable in refusal(launch.agent("gate.py", **{variable: value}))


def test_beyond_loopback_without_a_token(launch: Launcher) -> None:
    """gRPC beyond this machine needs a token: the line names the variable."""
    assert "OUTLAST_TOKEN" in refusal(launch.agent("gate.py", OUTLAST_TASK_MANAGER_LISTEN="0.0.0.0:0"))


def test_a_program_that_is_not_there(launch: Launcher) -> None:
    """The line names the file."""
    assert "nothing_here.py" in refusal(launch.bare("run", "nothing_here.py"))


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")
def test_a_file_that_may_not_grow(launch: Launcher, tmp_path: Path) -> None:
    """A start that cannot be made durable is refused with a clear answer; /ping answers, and it works again after."""
    agent = launch.ready("gate.py", OUTLAST_ACK_TIMEOUT="1")
    agent.invoke({"start": "function"})
    written = max(path.stat().st_size for path in tmp_path.glob("tasks.db*"))
    resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (written, resource.RLIM_INFINITY))

    refused = [agent.request("POST", "/invocations", {"start": "function"}) for _ in range(3)]

    assert [answer.status for answer in refused] == [424, 503, 503], [answer.body for answer in refused]
    assert agent.ping() == "HealthyBusy"

    resource.prlimit(agent.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    until(lambda: agent.request("POST", "/invocations", {"start": "function"}).status == 200, "an accepted start")
    agent.invoke({"open": True})


def can_mount() -> bool:
    """Tell whether this user may mount a file system that only its own processes see."""
    try:
        return subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def fill(path: Path) -> None:
    """Write a file until there is no more room."""
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))


@pytest.mark.skipif(not can_mount(), reason="needs unshare -rm, to mount a small disk")
def test_a_full_disk(launch: Launcher, tmp_path: Path) -> None:
    """A start that finds the disk full is refused and told why; what was promised is there once there is room again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=1m tmpfs {shlex.quote(str(disk))} && exec "$@"'
    environment = {"OUTLAST_STORE": f"sqlite:///{disk}/tasks.db", "OUTLAST_ACK_TIMEOUT": "1"}
    agent = launch.agent("gate.py", under=["unshare", "-rm", "sh", "-c", mount, "sh"], **environment)
    [kept] = agent.invoke({"start": "function"}).task_ids
    filling = Path(f"/proc/{agent.pid}/root{disk}/filling")
    with pytest.raises(OSError, match="No space left"):
        fill(filling)

    promised = agent.request("POST", "/invocations", {"start": "function"})
    refused = agent.request("POST", "/invocations", {"start": "function"})

    assert (promised.status, refused.status) == (424, 503)
    assert "disk is full" in refused.json["error"]
    assert agent.ping() == "HealthyBusy"
    filling.unlink()
    until(lambda: agent.request("POST", "/invocations", {"open": True}).status == 200, "an accepted invocation")
    for task_id in (kept, *promised.task_ids):
        assert agent.finished(task_id)["state"] == "COMPLETED"
