"""A container of the image: how it is started, asked from outside, stopped and killed."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .engine import PATIENCE, Engine

PROGRAMS = Path(__file__).parent / "programs"
#: Where everything is that a container writes.
STATE = "/app/.outlast"
HTTP, GRPC = 8080, 50051
#: What opens TaskService, where a test has it want a token.
TOKEN = "container-token"
#: What an operator forbids who trusts nothing.
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")

Line = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP."""

    status: int
    body: str

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Container:
    """One container, known by its id."""

    def __init__(self, engine: Engine, id: str) -> None:
        self.engine = engine
        self.id = id

    # -- what is asked of it from outside ------------------------------------------------------------------------------

    def address(self, port: int) -> str:
        """Return where a published port is, ``HOST:PORT``. It is another one after every start."""
        return self.engine.docker("port", self.id, str(port))

    def http(self, method: str, path: str, body: object = None, *headers: str) -> Answer:
        """Ask with curl."""
        data = [] if body is None else ["--data", json.dumps(body), "--header", "Content-Type: application/json"]
        named = [word for header in headers for word in ("--header", header)]
        url = f"http://{self.address(HTTP)}{path}"
        done = self.engine.run_in_network(
            "curl", "--silent", "--show-error", "--write-out", "\n%{http_code}", "--request", method, *data, *named, url
        )
        assert done.returncode == 0, f"{done.stderr}\n{self.told()}"
        text, _, status = done.stdout.rpartition("\n")
        return Answer(int(status), text)

    def invoke(self, payload: object) -> Any:
        """Return what an invocation answers, which is to succeed."""
        answer = self.http("POST", "/invocations", payload)
        assert answer.status == 200, f"{answer}\n{self.told()}"
        return answer.json

    def grpc(self, method: str, request: object, *, token: str = TOKEN) -> Any:
        """Return what TaskService answers to ``buf curl``, which knows it by reflection; an error is text."""
        header = ["--reflect-header", f"Authorization: Bearer {TOKEN}"]
        header += ["--header", f"Authorization: Bearer {token}"] if token else []
        done = self.engine.run_in_network(
            str(Path(sys.executable).with_name("buf")), "curl", "--protocol", "grpc", "--http2-prior-knowledge",
            *header, "--data", json.dumps(request),
            f"http://{self.address(GRPC)}/outlast.v1.TaskService/{method}",
        )  # fmt: skip
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr

    # -- what is inside ------------------------------------------------------------------------------------------------

    def execute(self, *command: str) -> str:
        """Return what a command prints that is run in the container, and succeeds."""
        return self.engine.docker("exec", self.id, *command)

    def lines(self) -> list[Line]:
        """Return the lines of its log that are JSON objects."""
        return [json.loads(line) for line in self.engine.logs(self.id) if line.startswith("{")]

    def told(self) -> str:
        """Return the end of its log."""
        return "\n".join(self.engine.logs(self.id)[-40:])

    @property
    def state(self) -> dict[str, Any]:
        """What the engine knows of how it is."""
        return dict(self.engine.inspect(self.id)["State"])

    # -- how it comes and goes -----------------------------------------------------------------------------------------

    def ready(self) -> Container:
        """Wait until it has said so since its last start."""
        since = self.state["StartedAt"]
        self.until(
            lambda: any(line["message"].endswith(" is ready") and line["timestamp"] > since for line in self.lines()),
            "a line that says ready",
        )
        return self

    def healthy(self) -> Container:
        """Wait until the engine says so."""
        self.until(lambda: self.state["Health"]["Status"] == "healthy", "health")
        return self

    def start(self) -> None:
        """Start it again, and wait until it is ready."""
        self.engine.docker("start", self.id)
        self.ready()

    def stop(self) -> int:
        """Stop it as the engine does by default; return its exit code."""
        self.engine.docker("stop", self.id)
        return int(self.state["ExitCode"])

    def kill(self) -> None:
        """End it at once."""
        self.engine.docker("kill", "--signal", "KILL", self.id)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Ask again and again until the condition holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"{what} never came: {self.state}\n{self.told()}"
            time.sleep(0.1)


class Containers:
    """Starts containers of the image and makes volumes; removes them all."""

    def __init__(self, engine: Engine, image: str) -> None:
        self.engine = engine
        self.image = image
        self._containers: list[Container] = []
        self._volumes: list[str] = []
        self._networks: list[str] = []

    def volume(self) -> str:
        """Make a volume; nobody has mounted it yet."""
        self._volumes.append(self.engine.docker("volume", "create"))
        return self._volumes[-1]

    def network(self) -> str:
        """Make a network, in which containers find each other by their names."""
        self._networks.append(f"outlast-test-{os.getpid()}-{len(self._networks)}")
        self.engine.docker("network", "create", self._networks[-1])
        return self._networks[-1]

    def run(self, role: Sequence[str], *options: str, volume: str | None = None, **variables: str) -> Container:
        """Start ``outlast ROLE`` in the background; the tests' programs are in its folder, its ports are published.

        With a ``volume`` it may do nothing but write there; without one, what an engine allows by default.
        """
        rights = [*HARDENED, "--volume", f"{volume}:{STATE}"] if volume else []
        programs = [word for file in PROGRAMS.iterdir() for word in ("--volume", f"{file}:/app/{file.name}:ro")]
        environment = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
        ports = [word for port in (HTTP, GRPC) for word in ("--publish", f"127.0.0.1::{port}")]
        id = self.engine.docker(
            "run", "--detach", *rights, *programs, *environment, *ports, *options, self.image, *role
        )
        self._containers.append(Container(self.engine, id))
        return self._containers[-1]

    def refusal(self, *role: str, **variables: str) -> str:
        """Return the only line that ``outlast ROLE`` has to say, which does not start."""
        container = self.run(role, volume=self.volume(), **variables)
        container.until(lambda: container.state["Status"] == "exited", "the end")
        assert container.state["ExitCode"] == 1
        (line,) = self.engine.logs(container.id)
        return line

    def close(self) -> None:
        """Remove everything."""
        if self._containers:
            self.engine.docker("rm", "--force", "--volumes", *(container.id for container in self._containers))
        if self._volumes:
            self.engine.docker("volume", "rm", *self._volumes)
        if self._networks:
            self.engine.docker("network", "rm", *self._networks)
