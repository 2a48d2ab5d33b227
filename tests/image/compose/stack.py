"""The services of compose.yaml, as they are, but for the two images that cannot be had."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..container import GRPC, Container
from ..engine import PATIENCE, ROOT, Engine

_OVERRIDE = Path(__file__).with_name("override.yaml")
_PORTS = ("AGENT_PORT", "TASK_MANAGER_1_PORT", "TASK_MANAGER_2_PORT", "JAEGER_PORT")
#: Seconds that all services may take to start or to stop on a busy machine.
_UP = 300.0
_LABEL = "com.docker.compose"


class Stack:
    """One project of Docker Compose."""

    def __init__(self, engine: Engine, image: str) -> None:
        self._engine = engine
        ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        self._environment = {**engine.environment, **ports, "OUTLAST_IMAGE": image}
        self._project = f"outlast-test-{os.getpid()}"
        files = ["--file", str(ROOT / "compose.yaml"), "--file", str(_OVERRIDE)]
        self._command = [*_compose(engine), "--project-name", self._project, *files]
        #: What happened while all was brought up, in its order: (service, "start", "die" or "healthy").
        self.order: list[tuple[str, str]] = []

    @contextmanager
    def brought_up(self) -> Iterator[None]:
        """Bring everything up, and remove it at the end with all that it has kept."""
        try:
            with self._events():
                self.up()
            yield
        finally:
            self.compose("down", "--volumes", "--timeout", "0")

    def up(self) -> None:
        """Bring everything up, by the one command, and wait until the agent is healthy: it is the last."""
        self.compose("up", "--detach", "--no-build")
        self.service("agent").healthy()

    def compose(self, *arguments: str) -> str:
        """Run ``docker compose ARGUMENTS``, which has to succeed; return its standard output."""
        done = subprocess.run(
            [*self._command, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_UP,
        )
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.told()}"
        return done.stdout

    def service(self, name: str) -> Container:
        """Return a service's container, whether it runs or has ended."""
        (found,) = self._containers(f"--filter=label={_LABEL}.service={name}")
        return found

    def token(self) -> str:
        """Return the token as compose.yaml says how to."""
        return self.compose("exec", "-T", "agent", "cat", "/run/outlast/tokens/token")

    def tasks(self, manager: Container, *arguments: str, token: str) -> subprocess.CompletedProcess[str]:
        """Ask TaskService of a replica from outside, by gRPC: ``outlast tasks ARGUMENTS``."""
        options = ["--task-manager", manager.address(GRPC), "--token", token]
        return self._engine.run_in_network(sys.executable, "-m", "outlast.cli", "tasks", *arguments, *options)

    def told(self) -> str:
        """Return the end of every service's log: what a failure is told with."""
        return "\n\n".join(container.told() for container in self._containers())

    def _containers(self, *filters: str) -> list[Container]:
        mine = f"--filter=label={_LABEL}.project={self._project}"
        found = self._engine.docker("ps", "--all", "--quiet", "--no-trunc", mine, *filters)
        return [Container(self._engine, id) for id in found.split()]

    @contextmanager
    def _events(self) -> Iterator[None]:
        """Keep what happens to the services' containers until this is left."""
        kinds = [f"--filter=event={kind}" for kind in ("start", "die", "health_status")]
        mine = f"--filter=label={_LABEL}.project={self._project}"
        command = [self._engine.cli, "events", "--since", "0s", "--format", "{{json .}}", *kinds, mine]
        with subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE, text=True) as listener:
            try:
                yield
            finally:
                listener.terminate()
            assert listener.stdout is not None
            for event in map(json.loads, listener.stdout):
                attributes: dict[str, Any] = event["Actor"]["Attributes"]
                self.order.append((attributes[f"{_LABEL}.service"], event["Action"].removeprefix("health_status: ")))


def _compose(engine: Engine) -> list[str]:
    """Return the command of Docker Compose: the one that belongs to the command line, else the older of Debian's."""
    known = subprocess.run(
        [engine.cli, "compose", "version"], env=engine.environment, capture_output=True, timeout=PATIENCE
    )
    if known.returncode == 0:
        return [engine.cli, "compose"]
    if shutil.which("docker-compose") is None:
        pytest.fail("there is no Docker Compose: apt-get install docker-compose", pytrace=False)
    return ["docker-compose"]


def _free_ports(number: int) -> list[str]:
    """Return ports that nobody has: the engine may be that of a machine on which much else runs."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [str(listening.getsockname()[1]) for listening in sockets]
    for listening in sockets:
        listening.close()
    return ports
