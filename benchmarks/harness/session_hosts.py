"""A session host under measurement."""

from __future__ import annotations

import json
from http.client import HTTPConnection

from benchmarks.harness.bench import PROGRAMS, Bench
from benchmarks.harness.process import PATIENCE, Process, free_port

_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
#: ``users``: as a host runs that is not root's, whoever measures.
_CONFIGURATION = """listen = "127.0.0.1:{port}"
task_manager_listen = "127.0.0.1:0"
users = "off"

[agents.agent]
file = {program}

[agents.profiled]
file = {program}
environment = {{ PYTHONPROFILEIMPORTTIME = "1" }}
"""


class SessionHost(Process):
    """``outlast host`` with two agents, ``agent`` and ``profiled``: the latter says how long its imports take."""

    def __init__(self, bench: Bench) -> None:
        self._port = free_port()
        folder = bench.new_folder("host")
        file = folder / "outlast.toml"
        program = json.dumps(str(PROGRAMS / "agent_ours.py"))
        file.write_text(_CONFIGURATION.format(port=self._port, program=program))
        super().__init__([bench.python("outlast"), "-m", "outlast.cli", "host", str(file)], folder)

    def ready(self) -> SessionHost:
        """Wait until it takes connections, and return itself."""
        self.listens(self._port)
        return self

    def invoke(self, agent: str, session: str) -> object:
        """Invoke an agent in a session, and return the answer's JSON."""
        return json.loads(self._post(agent, session, "invocations"))

    def end(self, agent: str, session: str) -> None:
        """End a session; returns when nothing of it is left."""
        self._post(agent, session, "stopruntimesession")

    def _post(self, agent: str, session: str, what: str) -> bytes:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            headers = {"Content-Type": "application/json", _HEADER: session}
            connection.request("POST", f"/runtimes/{agent}/{what}", '{"prompt": "hello"}', headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise SystemExit(f"{what} of a session is answered with {response.status}: {body!r}\n{self.said()[-3000:]}")
        return body
