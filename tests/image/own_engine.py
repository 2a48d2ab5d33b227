"""A Docker Engine for one run of the tests, made of Debian's packages: its daemon, its folder, its network.

The daemon runs twice upon one folder. First in the machine's network, where a build reaches the package registry; then
in a network namespace that has nothing but loopback and what the engine makes there: bridges, published ports and names
of containers are the real ones, and nobody outside sees them. Either daemon has a mount namespace too, so that no mount
is left behind, and gets SIGTERM when the tests' process is killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .engine import Engine

#: The command line of the daemon's own package: one of another version, first on the path, may not speak to it.
CLI = "/usr/bin/docker"
_NEEDED = ("dockerd", CLI, "mmdebstrap", "ip", "iptables", "unshare", "nsenter", "setpriv")
#: Seconds until the daemon has to answer, and until it has to have ended.
_START, _STOP = 60.0, 60.0


def require_parts() -> None:
    """Fail with a sentence that says what is missing for an engine of our own."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if os.geteuid() != 0:
        missing.insert(0, "root's rights")
    if missing:
        pytest.fail(
            "no Docker Engine answers `docker info`, and one of our own cannot be started: "
            f"{', '.join(missing)} missing (apt-get install docker.io mmdebstrap iproute2 iptables, as root)",
            pytrace=False,
        )


class OwnEngine:
    """The folder of an engine, upon which one daemon at a time runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "log"
        self._socket = f"unix://{folder}/docker.sock"

    @contextmanager
    def running(self, *, isolated: bool) -> Iterator[Engine]:
        """Run the daemon: in the machine's network without one for containers, or isolated in a network of its own."""
        folder = self._folder
        options = ["--host", self._socket, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"]
        options += ["--pidfile", f"{folder}/pid", "--oom-score-adjust", "0", "--default-ulimit", "nofile=1024:4096"]
        if not isolated:
            options += ["--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-masq=false"]
        spaces = ["unshare", "--mount", *(["--net"] if isolated else [])]
        up = "ip link set lo up && " if isolated else ""
        with self._log.open("ab") as log:
            daemon = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *spaces, "sh", "-c", f'{up}exec dockerd "$@"', "sh", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        network = ["nsenter", f"--net=/proc/{daemon.pid}/ns/net", "--"] if isolated else []
        engine = Engine(CLI, {"DOCKER_HOST": self._socket}, network)
        try:
            self._wait(engine, daemon)
            yield engine
            if containers := engine.docker("ps", "--all", "--quiet").split():
                engine.docker("rm", "--force", *containers)
        finally:
            self._stop(daemon)

    def _wait(self, engine: Engine, daemon: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START
        while True:
            try:
                engine.docker("info")
                return
            except AssertionError:
                if daemon.poll() is not None or time.monotonic() > deadline:
                    last = "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-20:])
                    pytest.fail(f"dockerd does not start here; its last lines:\n{last}", pytrace=False)
            time.sleep(0.1)

    def _stop(self, daemon: subprocess.Popen[bytes]) -> None:
        daemon.terminate()
        try:
            daemon.wait(_STOP)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        for pid in self._left():
            os.kill(pid, signal.SIGKILL)

    def _left(self) -> list[int]:
        """Return the processes that name this folder: containerd and its shims, where the daemon has not ended them."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != os.getpid():
                try:
                    command = (entry / "cmdline").read_bytes()
                except OSError:  # it has ended
                    continue
                if os.fsencode(self._folder / "exec") in command:
                    found.append(int(entry.name))
        return found


@contextmanager
def own_engine() -> Iterator[OwnEngine]:
    """Make an engine with an empty folder, which is removed at the end."""
    require_parts()
    folder = Path(tempfile.mkdtemp(prefix="outlast-image-"))  # short: sockets are in it
    try:
        yield OwnEngine(folder)
    finally:
        shutil.rmtree(folder)
