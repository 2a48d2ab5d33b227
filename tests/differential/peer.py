"""One side of a pair: a process that serves a program, by the original or by outlast."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from outlast.compat import compat_path

from ..acceptance.agent_process import PATIENCE, Agent, Line, OutlastProcess
from .exchange import REQUEST_ID, Answer, Asked, exchange

LOGGER = "bedrock_agentcore.app"
#: What the server under the original says once it listens.
_LISTENS = re.compile(r".*Uvicorn running on http://(?P<host>[\d.]+):(?P<port>\d+)")


class OnUvicorn(OutlastProcess):
    """A process whose server is uvicorn."""

    def listens(self) -> tuple[str, int]:
        """Return where it listens, once it does."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(filter(None, map(_LISTENS.match, self.errors)))
            return bool(found) or self._ended

        with self._changed:
            self._changed.wait_for(look, PATIENCE)
        assert found, "it never listened; standard error:\n" + "\n".join(self.errors)
        return found[0]["host"], int(found[0]["port"])


class Original(OnUvicorn):
    """``python PROGRAM`` with the real package, which serves it through uvicorn."""

    def __init__(self, program: Path, folder: Path) -> None:
        super().__init__([str(program)], {"PORT": "0"}, folder)


class Ours(Agent):
    """``outlast run PROGRAM``: the same program with outlast standing in."""

    def __init__(self, program: Path, folder: Path) -> None:
        arguments = ["-m", "outlast.cli", "run", str(program)]
        super().__init__(arguments, _settings(folder), folder)

    def listens(self) -> tuple[str, int]:
        """Return where it listens, once it does."""
        url = urlsplit(self.address)
        assert url.hostname is not None
        assert url.port is not None
        return url.hostname, url.port


class OursOnUvicorn(OnUvicorn):
    """``uvicorn PROGRAM:app`` with outlast standing in."""

    def __init__(self, program: Path, folder: Path) -> None:
        arguments = ["-m", "uvicorn", f"{program.stem}:app", "--app-dir", str(program.parent), "--port", "0"]
        super().__init__(arguments, {**_settings(folder), "PYTHONPATH": str(compat_path())}, folder)


def _settings(folder: Path) -> dict[str, str]:
    return {
        "OUTLAST_HOST": "127.0.0.1",
        "OUTLAST_PORT": "0",
        "OUTLAST_TASK_MANAGER_LISTEN": "127.0.0.1:0",
        "OUTLAST_STORE": f"sqlite:///{folder}/tasks.db",
        "PORT": "0",
    }


@dataclass(frozen=True)
class Seen:
    """What one side answered to a request, and the agent's log lines meanwhile."""

    answer: Answer
    lines: list[Line]


class Peer:
    """One side: what it answers, and what it logs meanwhile."""

    def __init__(self, process: Original | Ours | OursOnUvicorn) -> None:
        self.process = process
        self.address = process.listens()
        self._fences = 0
        #: How many of the process's lines have been looked at.
        self._read = len(process.lines)

    def see(self, asked: Asked) -> Seen:
        """Send a request; return what comes back and what is logged."""
        answer = exchange(self.address, asked)
        return Seen(answer, self.logged())

    def logged(self) -> list[Line]:
        """Return all the agent's lines since the last time.

        They are complete up to the line of a request that is sent for it: each side writes its lines in order.
        """
        self._fences += 1
        fence = f"fence-{self._fences}"
        refused = exchange(self.address, Asked("POST", "/invocations", ((REQUEST_ID, fence),), b"fence"))
        assert refused.status == 400, refused
        self.process.wait_line(lambda line: line.get("requestId") == fence and line["level"] == "WARNING", fence)
        lines = self.process.lines[self._read :]
        self._read += len(lines)
        return [line for line in lines if line.get("logger") == LOGGER and line.get("requestId") != fence]
