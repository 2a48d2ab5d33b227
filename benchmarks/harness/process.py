"""A process under measurement: started, waited for, looked at from outside, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

#: Seconds that a start or a stop may take before it counts as never happening.
PATIENCE = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Process:
    """A command with a folder of its own; what it says goes to files there, as it would in production."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        #: ``time.perf_counter()`` just before the start.
        self.began = time.perf_counter()
        with (folder / "stdout").open("ab") as out, (folder / "stderr").open("ab") as err:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**inherited_environment(), **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def answers(self, url: str) -> None:
        """Wait until an HTTP URL is answered with 200.

        Raises:
            SystemExit: it never is, or the process has ended; with the end of what it said.
        """
        self._until(lambda: _answers(url), f"answer at {url}")

    def listens(self, port: int) -> None:
        """Wait until a port of this machine takes connections; raises what ``answers`` raises."""
        self._until(lambda: _listens(port), f"listen on port {port}")

    def says(self, text: str) -> None:
        """Wait until a text stands in what it said; raises what ``answers`` raises."""
        self._until(lambda: text in self.said(), f"say {text!r}")

    def said(self) -> str:
        """Return what it has said: standard output, then standard error."""
        return (self.folder / "stdout").read_text("utf-8", "replace") + (self.folder / "stderr").read_text(
            "utf-8", "replace"
        )

    def wrote(self, text: str) -> int:
        """Return how often a text stands in what it wrote to standard error, which is where agents log."""
        return (self.folder / "stderr").read_bytes().count(text.encode())

    @property
    def cpu(self) -> float:
        """Seconds of processor time that it has used so far, without its children."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def memory(self) -> int:
        """Bytes of memory that are its own share (Pss)."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        raise ValueError("the system does not say")

    def stop(self) -> None:
        """End it with SIGTERM, and with everything that it started when that is not enough."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self._process.wait()

    def kill(self) -> None:
        """End it, and everything that it started, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def _until(self, holds: object, what: str) -> None:
        assert callable(holds)
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self._process.args!r} does not {what}:\n{self.said()[-3000:]}")
            time.sleep(0.002)


def inherited_environment() -> dict[str, str]:
    """Return this process's variables without what would make a contender behave in a way of its own."""
    ours = ("OUTLAST_", "OTEL_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def free_port() -> int:
    """Return a port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (HTTPError, URLError, OSError):
        return False


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
