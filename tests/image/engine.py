"""A Docker Engine, as tests speak to it: its own command line, and commands that stand in its network."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: Seconds that a command may take before it counts as hanging, and those of a build.
PATIENCE, BUILD_PATIENCE = 60.0, 900.0
#: Variables by which a build reaches the package registry where the machine itself needs them.
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


class Engine:
    """An engine that answers."""

    def __init__(self, cli: str, environment: Mapping[str, str], network: Sequence[str] = ()) -> None:
        """``network`` is the command that puts another one into the network that the containers' ports are in."""
        self.cli = cli
        self._network = list(network)
        #: What a program needs to find the engine, ``docker-compose`` for one: our own variables with DOCKER_HOST.
        self.environment = {**os.environ, **environment}

    @classmethod
    def of_this_machine(cls) -> Engine | None:
        """Return the engine that ``docker`` finds by itself; None where there is none."""
        engine = cls("docker", {})
        try:
            engine.docker("info")
        except (AssertionError, OSError):
            return None
        return engine

    def docker(self, *arguments: str, timeout: float = PATIENCE) -> str:
        """Run ``docker ARGUMENTS``, which has to succeed; return its standard output without the last line's end."""
        done = subprocess.run(
            [self.cli, *arguments],
            env={**self.environment, "DOCKER_BUILDKIT": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def logs(self, container: str) -> list[str]:
        """Return what a container has written, on either output, line by line."""
        command = [self.cli, "logs", container]
        done = subprocess.run(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE
        )
        return done.stdout.splitlines()

    def inspect(self, thing: str) -> dict[str, Any]:
        """Return what the engine knows of a container, an image, a volume or a network."""
        (known,) = json.loads(self.docker("inspect", thing))
        return dict(known)

    def build(self, tag: str, base: str, source: Path = ROOT) -> None:
        """Build the image of this repository, or a copy, upon ``base``; its steps have the engine's own network."""
        proxies = [option for name in _PROXIES if name in os.environ for option in ("--build-arg", name)]
        options = ["--network", "host", "--build-arg", f"BASE={base}", *proxies, "--tag", tag]
        self.docker("build", *options, str(source), timeout=BUILD_PATIENCE)

    def in_network(self, *command: str) -> list[str]:
        """Return ``command`` as it is to be started so that it stands where the containers' published ports are."""
        return [*self._network, *command]

    def run_in_network(self, *command: str, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run a command there, to its end; whether it succeeded is the caller's to judge."""
        return subprocess.run(
            self.in_network(*command), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
        )
