"""wrk: an HTTP load from a process of its own."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.harness.debian import program

#: Counts to the byte, where wrk's own summary rounds.
_SCRIPT = """wrk.method = "POST"
wrk.body = [==[%s]==]
wrk.headers["Content-Type"] = "application/json"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("{\\"requests\\": %%d, \\"microseconds\\": %%d, \\"bytes\\": %%d, \\"failed\\": %%d}\\n",
    summary.requests, summary.duration, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Answered:
    """How many requests were answered, and how long that took in seconds."""

    requests: int
    seconds: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


@dataclass(frozen=True)
class Load:
    """POSTs of a small JSON object, all of which are to be answered with the same JSON object."""

    url: str
    body: Mapping[str, object]
    answer: Mapping[str, object]
    connections: int = 16

    def run(self, folder: Path, seconds: float) -> Answered:
        """Return how many requests were answered well.

        For less than a second, which wrk cannot do, a few requests are sent from here, one after another: that is no
        measurement, and needs no wrk.

        Raises:
            SystemExit: some were not answered, or with something else; a rate of errors is no rate.
        """
        size = self._probe()
        if seconds < 1:
            return self._few()
        script = folder / "post.lua"
        script.write_text(_SCRIPT % json.dumps(self.body))
        command = [program("wrk"), "-t1", f"-c{self.connections}", f"-d{seconds:.0f}s", "-s", str(script), self.url]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        counted = json.loads(done.stdout.splitlines()[-1])
        # wrk compares no bodies: answers with other ones would hardly have this size. Some are cut off at the end.
        strange = counted["bytes"] - counted["requests"] * size
        if counted["failed"] or not 0 <= strange <= self.connections * size:
            raise SystemExit(f"not every request to {self.url} was answered well:\n{done.stdout}")
        return Answered(counted["requests"], counted["microseconds"] / 1e6)

    def _few(self) -> Answered:
        began = time.perf_counter()
        requests = 20
        for _ in range(requests):
            self._probe()
        return Answered(requests, time.perf_counter() - began)

    def _probe(self) -> int:
        """Send one request, compare its answer, and return how many bytes that has, its head included."""
        where = urlsplit(self.url)
        connection = HTTPConnection(where.netloc, timeout=30)
        try:
            connection.request("POST", where.path, json.dumps(self.body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if response.status != 200 or json.loads(text) != self.answer:
            raise SystemExit(f"{self.url} answers {response.status}, {text!r}")
        status_line = len(f"HTTP/1.1 {response.status} {response.reason}\r\n")
        head = sum(len(f"{name}: {value}\r\n".encode("latin-1")) for name, value in response.getheaders())
        return status_line + head + len("\r\n") + len(text)
