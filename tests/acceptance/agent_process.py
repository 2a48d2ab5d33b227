"""A process of outlast as people start it, and what it says on its standard error and over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAMS = Path(__file__).parent / "programs"
#: Seconds that anything may take before it counts as never happening.
PATIENCE = 30.0

Line = dict[str, Any]

#: Lines of ours about what nobody caught (outlast.telemetry.capture).
_UNCAUGHT = ("the program has failed", "a thread of the program has failed", "an exception was ignored")


@dataclass(frozen=True)
class Answer:
    """What came back from the front door."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def task_ids(self) -> list[str]:
        """The tasks that the invocation started, as its answer names them."""
        named = self.headers.get("x-outlast-task-ids", "")
        return [part.strip() for part in named.split(",") if part.strip()]


def until(condition: Callable[[], bool], what: str) -> None:
    """Ask ``condition`` again and again until it holds: for what tells nobody when it changes."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came"
        time.sleep(0.05)


class OutlastProcess:
    """``outlast ARGUMENTS`` as a process of its own, its standard error read line by line."""

    def __init__(
        self, arguments: list[str], environment: Mapping[str, str], folder: Path, *, under: Sequence[str] = ()
    ) -> None:
        """``under`` is a command that becomes the process, such as ``unshare``."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OUTLAST_", "OTEL_"))}
        inherited.pop("PORT", None)
        self._process = subprocess.Popen(
            [*under, sys.executable, *arguments],
            cwd=folder,
            env={**inherited, "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.pid = self._process.pid
        self._changed = threading.Condition()
        #: Everything on standard error, and those lines of it that are JSON objects.
        self.errors: list[str] = []
        self.lines: list[Line] = []
        #: Everything on standard output.
        self.output: list[str] = []
        self._ended = False
        self._readers = [
            threading.Thread(target=self._read_errors, daemon=True),
            threading.Thread(target=self._read_output, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    # -- what it logs --------------------------------------------------------------------------------------------------

    def wait_line(self, wanted: Callable[[Line], bool], what: str = "the line") -> Line:
        """Return the first line that ``wanted`` says yes to, as soon as it is there."""
        found: list[Line] = []

        def look() -> bool:
            found.extend(line for line in self.lines if wanted(line))
            return bool(found) or self._ended

        with self._changed:
            self._changed.wait_for(look, PATIENCE)
        assert found, f"{what} never came; standard error:\n" + "\n".join(self.errors)
        return found[0]

    def wait_message(self, message: str) -> Line:
        """Return the first line with this message, as soon as it is there."""
        return self.wait_line(lambda line: line.get("message") == message, repr(message))

    def ready(self) -> Line:
        """Wait until it says that it is ready; return that line."""
        return self.wait_line(lambda line: str(line.get("message", "")).endswith(" is ready"), "the ready line")

    def blemishes(self) -> list[str]:
        """Return what no process should write: a traceback, an exception nobody caught, a coroutine nobody awaited."""
        return [
            text
            for text in self.errors
            if "never awaited" in text
            or (not text.startswith("{") and "Traceback (most recent call last)" in text)
            or (text.startswith("{") and json.loads(text).get("message") in _UNCAUGHT)
        ]

    # -- how it ends ---------------------------------------------------------------------------------------------------

    def signal(self, number: int) -> None:
        """Send a signal to this process and to no other."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self) -> int:
        """Return its exit code once it has ended and everything that it wrote is read."""
        code = self._process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        return code

    def stop(self) -> int:
        """Ask it to stop as a supervisor does (SIGTERM); return its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self.signal(signal.SIGKILL)
        self.wait()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def memory(self) -> int:
        """Return the bytes of memory that it holds (resident)."""
        kibibytes = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self.pid)], check=True, capture_output=True, text=True
        ).stdout
        return int(kibibytes) * 1024

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for raw in stream:
                text = raw.decode("utf-8", "replace").rstrip("\n")
                with self._changed:
                    self.errors.append(text)
                    if text.startswith("{"):
                        self.lines.append(json.loads(text))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for raw in stream:
                self.output.append(raw.decode("utf-8", "replace").rstrip("\n"))


class Agent(OutlastProcess):
    """An agent process, and what is asked of its front door."""

    @property
    def address(self) -> str:
        """``http://HOST:PORT`` of the front door, once it is ready."""
        return str(self.ready()["address"])

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = PATIENCE,
    ) -> Answer:
        """Ask the front door; ``body`` is bytes as they are, or anything else as JSON."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        connection = HTTPConnection(urlsplit(self.address).netloc, timeout=timeout)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def invoke(self, payload: object, headers: Mapping[str, str] | None = None) -> Answer:
        """Post an invocation that is to succeed."""
        answer = self.request("POST", "/invocations", payload, {"Content-Type": "application/json", **(headers or {})})
        assert answer.status == 200, f"{answer.status}: {answer.body!r}\n" + "\n".join(self.errors[-30:])
        return answer

    def ping(self) -> str:
        """Return the status that /ping tells."""
        answer = self.request("GET", "/ping")
        assert answer.status == 200
        assert isinstance(answer.json["time_of_last_update"], int)
        return str(answer.json["status"])

    def task(self, task_id: str) -> Any:
        """Return the record of a task."""
        answer = self.request("GET", f"/tasks/{task_id}")
        assert answer.status == 200, f"tasks/{task_id}: {answer.status} {answer.body!r}"
        return answer.json

    def finished(self, task_id: str) -> Any:
        """Return the record of a task once it is terminal."""
        answer = self.request("GET", f"/tasks/{task_id}/wait", timeout=2 * PATIENCE)
        assert answer.status == 200, f"tasks/{task_id}: {answer.status} {answer.body!r}"
        assert answer.json["state"] in ("COMPLETED", "FAILED", "CANCELED", "REJECTED"), answer.json
        return answer.json
