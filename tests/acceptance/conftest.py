"""How acceptance tests start processes, and what is proved of every one of them at its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from .agent_process import EXAMPLES, PROGRAMS, Agent, OutlastProcess

Process = TypeVar("Process", bound=OutlastProcess)


class Launcher:
    """Starts processes in a folder and with a store of the test's own, and ends them by their ids."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = f"sqlite:///{folder}/tasks.db"
        #: What a blemish may say: a test that provokes one names it.
        self.on_purpose: list[str] = []
        self._started: list[OutlastProcess] = []

    def agent(self, program: str | Path, *, under: Sequence[str] = (), **environment: str) -> Agent:
        """Start ``outlast run PROGRAM`` on free ports; ``environment`` wins over the defaults of tests."""
        arguments = ["-m", "outlast.cli", "run", str(self.find(program))]
        return self._keep(Agent(arguments, self._with(environment), self.folder, under=under))

    def python(self, program: str | Path, **environment: str) -> Agent:
        """Start ``python PROGRAM`` on free ports."""
        return self._keep(Agent([str(self.find(program))], self._with(environment), self.folder))

    def ready(self, program: str | Path, **environment: str) -> Agent:
        """Start an agent and wait until it is ready."""
        agent = self.agent(program, **environment)
        agent.ready()
        return agent

    def bare(self, *arguments: str, **environment: str) -> Agent:
        """Start ``outlast ARGUMENTS`` with nothing in its environment but ``environment``."""
        return self._keep(Agent(["-m", "outlast.cli", *arguments], environment, self.folder))

    def task_manager(self, listen: str = "127.0.0.1:0", **environment: str) -> OutlastProcess:
        """Start ``outlast task-manager`` on the test's store and wait until it is ready."""
        arguments = ["-m", "outlast.cli", "task-manager", "--listen", listen, "--store", self.store]
        manager = self._keep(OutlastProcess(arguments, environment, self.folder))
        manager.ready()
        return manager

    def process(self, arguments: list[str], **environment: str) -> OutlastProcess:
        """Start ``python ARGUMENTS`` with free ports and the test's store."""
        return self._keep(OutlastProcess(arguments, self._with(environment), self.folder))

    def close(self) -> list[OutlastProcess]:
        """End what still runs; return all that were started."""
        for process in self._started:
            process.kill()
        return self._started

    def _keep(self, process: Process) -> Process:
        self._started.append(process)
        return process

    def _with(self, environment: dict[str, str]) -> dict[str, str]:
        free = {
            "OUTLAST_HOST": "127.0.0.1",
            "OUTLAST_PORT": "0",
            "OUTLAST_TASK_MANAGER_LISTEN": "127.0.0.1:0",
            "OUTLAST_STORE": self.store,
        }
        if "OUTLAST_TASK_MANAGER" in environment:
            free = {"OUTLAST_HOST": "127.0.0.1", "OUTLAST_PORT": "0"}
        return {**free, **environment}

    @staticmethod
    def find(program: str | Path) -> Path:
        """Return the file of a program, of the examples or of the tests' own."""
        if isinstance(program, Path):
            return program
        return next(folder / program for folder in (EXAMPLES, PROGRAMS) if (folder / program).exists())


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launcher]:
    """Start processes; at the end of the test none is left, and none has written a traceback."""
    launcher = Launcher(tmp_path)
    try:
        yield launcher
    finally:
        processes = launcher.close()
    for process in processes:
        blemishes = [text for text in process.blemishes() if not any(said in text for said in launcher.on_purpose)]
        assert blemishes == [], "\n".join(process.errors)
