"""How tests start session hosts, and what is proved of every one of them at its end."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shutil import rmtree

import pytest

from ..agent_process import until
from .host_process import GUESTS, Host
from .processes import marked

#: Guests of three kinds: any program, one for outlast, and one for the original SDK.
PLAIN = f"""
[agents.plain]
command = ["{sys.executable}", "-I", "-S", "{GUESTS / "plain.py"}"]
environment = {{ TEST_MARK = "{{mark}}" }}
"""
TASKS = f"""
[agents.tasks]
file = "{GUESTS / "tasks.py"}"
environment = {{ TEST_MARK = "{{mark}}" }}
"""
SDK = f"""
[agents.sdk]
file = "{GUESTS / "sdk.py"}"
runtime = "original"
environment = {{ TEST_MARK = "{{mark}}" }}
"""


class Hosts:
    """Starts session hosts in a folder of the test's own, and ends them by their ids."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[Host] = []

    def start(
        self,
        agents: str = PLAIN,
        top: str = "",
        *,
        ready: bool = True,
        users: str = "off",
        variables: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
        place: str = "",
    ) -> Host:
        """Start ``outlast host`` with these tables of agents; ``top`` stands before them.

        ``under`` is a command that becomes the host, such as one that changes its user; ``place`` the folder of its
        configuration, and with that its own, inside of the test's.
        """
        file = self.folder / place / "outlast.toml"
        file.parent.mkdir(exist_ok=True)
        free = f'listen = "127.0.0.1:0"\ntask_manager_listen = "127.0.0.1:0"\nusers = "{users}"\n'
        file.write_text(free + top + "\n" + agents.replace("{mark}", self.folder.name))
        host = Host(["-m", "outlast.cli", "host", str(file)], variables or {}, self.folder, under=under)
        self._started.append(host)
        if ready:
            host.ready()
        return host

    def guests(self) -> set[int]:
        """Return the processes of all sessions of the test's hosts."""
        return marked(f"TEST_MARK={self.folder.name}")

    def close(self) -> list[Host]:
        """End what still runs; return all that were started."""
        for host in self._started:
            host.kill()
        return self._started


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    """Start session hosts; at the end of the test no process of theirs is left, and none has written a traceback."""
    # Not below pytest's own folder, which only one user may enter: sessions may have users of their own.
    folder = Path(tempfile.mkdtemp(prefix="outlast-hosting-"))
    os.chmod(folder, 0o755)
    started = Hosts(folder)
    try:
        yield started
    finally:
        processes = started.close()
        until(lambda: not started.guests(), "the end of every process of the host")
        rmtree(folder, ignore_errors=True)
    for process in processes:
        assert process.blemishes() == [], "\n".join(process.errors)
