"""``uvicorn PROGRAM:app`` as a process, and what is asked of it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from outlast.compat import compat_path

from .agent_process import PATIENCE, Answer, OutlastProcess, until
from .conftest import Launcher

SESSION = {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": "s" * 33}
_LISTENS = re.compile(r".*Uvicorn running on http://127\.0\.0\.1:(\d+)")


class Uvicorn:
    """``uvicorn PROGRAM:app``, on a port of its own choice."""

    def __init__(self, launch: Launcher, program: str, *options: str, **environment: str) -> None:
        folder = str(launch.find(program).parent)
        module = program.removesuffix(".py")
        self.process: OutlastProcess = launch.process(
            ["-m", "uvicorn", f"{module}:app", "--app-dir", folder, "--port", "0", "--no-access-log", *options],
            PYTHONPATH=str(compat_path()),
            **environment,
        )
        until(lambda: self._ports() != [], "uvicorn's own line")
        [self.port] = self._ports()

    def _ports(self) -> list[int]:
        return [int(found[1]) for found in map(_LISTENS.match, list(self.process.errors)) if found]

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        """Ask and return the answer."""
        with self.open(method, path, body) as response:
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())

    def invoke(self, **payload: Any) -> Answer:
        """Post an invocation that is to succeed."""
        answer = self.ask("POST", "/invocations", payload)
        assert answer.status == 200, answer
        return answer

    @contextlib.contextmanager
    def open(self, method: str, path: str, body: object = None) -> Iterator[HTTPResponse]:
        """Ask and give the response, its body unread."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), SESSION)
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()
