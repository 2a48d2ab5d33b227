"""``uvicorn PROGRAM:app`` as a process, and what is asked of it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from functools import cached_property
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

    @cached_property
    def port(self) -> int:
        """Where it serves; to be known once it does."""
        until(lambda: self._ports() != [], "uvicorn's own line")
        [port] = self._ports()
        return port

    def _ports(self) -> list[int]:
        return [int(found[1]) for found in map(_LISTENS.match, list(self.process.errors)) if found]

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Ask and return the answer."""
        with self.open(method, path, body, **headers) as response:
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())

    def invoke(self, **payload: Any) -> Answer:
        """Post an invocation that is to succeed."""
        answer = self.ask("POST", "/invocations", payload)
        assert answer.status == 200, answer
        return answer

    @contextlib.contextmanager
    def open(self, method: str, path: str, body: object = None, **headers: str) -> Iterator[HTTPResponse]:
        """Ask and give the response, its body unread."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), SESSION | headers)
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()
