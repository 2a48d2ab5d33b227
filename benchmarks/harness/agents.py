"""The agents under measurement: the same program for outlast, for the original SDK, and as the bare limit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from benchmarks.harness.bench import PROGRAMS, Bench
from benchmarks.harness.process import PATIENCE, Process, free_port

OURS = "outlast"
ORIGINAL = "bedrock-agentcore"
BARE = "bare aiohttp on uvloop"


class Agent(Process):
    """An agent process that answers at ``url``."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str], port: int) -> None:
        super().__init__(command, folder, environment)
        self.url = f"http://127.0.0.1:{port}"

    def ready(self) -> Agent:
        """Wait until ``/ping`` is answered, and return itself."""
        self.answers(f"{self.url}/ping")
        return self

    def post(self, body: Mapping[str, object]) -> object:
        """Invoke it once, and return the answer's JSON."""
        request = Request(f"{self.url}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read())


def start_agent(bench: Bench, kind: str, program: str = "agent") -> Agent:
    """Start ``programs/PROGRAM_ours.py``, ``PROGRAM_original.py`` or the bare limit, with its log in a file."""
    port = free_port()
    folder = bench.new_folder("agent")
    if kind == OURS:
        file, environment = f"{program}_ours.py", _ours(port, folder)
        python = bench.python(OURS)
    elif kind == ORIGINAL:
        file, environment = f"{program}_original.py", {"PORT": str(port)}
        python = bench.python(ORIGINAL)
    else:
        file, environment = "bare_aiohttp.py", {"PORT": str(port)}
        python = bench.python(OURS)
    return Agent([python, str(PROGRAMS / file)], folder, environment, port)


@contextmanager
def running_agents(bench: Bench, *kinds: str, program: str = "agent") -> Iterator[dict[str, Agent]]:
    """Run one agent of each kind, all of them up the whole time: those that are not measured idle."""
    with ExitStack() as stack:
        yield {kind: stack.enter_context(start_agent(bench, kind, program)).ready() for kind in kinds}


def _ours(port: int, folder: Path) -> dict[str, str]:
    return {
        "OUTLAST_HOST": "127.0.0.1",
        "OUTLAST_PORT": str(port),
        "OUTLAST_STORE": f"sqlite:///{_store_in(folder)}",
        "OUTLAST_TASK_MANAGER_LISTEN": "127.0.0.1:0",
    }


def store_of(agent: Agent) -> Path:
    """Return the SQLite file of an agent of ours."""
    return _store_in(agent.folder)


def _store_in(folder: Path) -> Path:
    return folder / "tasks.db"
