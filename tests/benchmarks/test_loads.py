"""The load of the benchmarks: what it counts as answered."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.harness.wrk import Load
from benchmarks.load.latencies import figures, percentile

BODY, ANSWER = {"prompt": 'it\'s [[ ]] "quoted"'}, {"result": "ok"}


class _Server(ThreadingHTTPServer):
    """Answers a number of requests well, and then in another way."""

    daemon_threads = True
    well: float = float("inf")
    then: tuple[int, bytes] = (200, b'{"result": "not what was asked for"}')
    bodies: list[object]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.server.well -= 1
        status, body = (200, json.dumps(ANSWER).encode()) if self.server.well >= 0 else self.server.then
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[_Server]:
    """Run a server."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.bodies = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _load(server: _Server) -> Load:
    return Load(f"http://127.0.0.1:{server.server_port}/invocations", BODY, ANSWER, connections=2)


def test_a_smoke_run_needs_no_wrk(server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few requests are sent by the harness itself, each with the body that was asked for."""
    monkeypatch.setenv("PATH", "")

    answered = _load(server).run(tmp_path, 0.3)

    assert answered.requests < len(server.bodies) < 50
    assert answered.rate == answered.requests / answered.seconds
    assert all(body == BODY for body in server.bodies)


@pytest.mark.parametrize("then", [(200, b'{"result": "not this"}'), (500, b'{"result": "ok"}')])
def test_an_answer_with_something_else_is_none(server: _Server, tmp_path: Path, then: tuple[int, bytes]) -> None:
    """A rate of errors, or of other answers, is no rate."""
    server.well, server.then = 3, then

    with pytest.raises(SystemExit, match=f"answers {then[0]}"):
        _load(server).run(tmp_path, 0.3)


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed (Debian: apt-get install wrk)")
class TestWrk:
    """With the program itself; continuous integration has it."""

    def test_every_answer_is_counted(self, server: _Server, tmp_path: Path) -> None:
        """The count is that of the server, but for the probe and what is cut off at the end."""
        answered = _load(server).run(tmp_path, 1)

        assert answered.requests <= len(server.bodies) - 1 <= answered.requests + 2
        assert answered.seconds >= 1
        assert all(body == BODY for body in server.bodies)

    @pytest.mark.parametrize("then", [(200, b'{"result": "not what was asked for"}'), (500, b'{"result": "ok"}')])
    def test_answers_that_turn_bad_are_noticed(self, server: _Server, tmp_path: Path, then: tuple[int, bytes]) -> None:
        """By their status, or by how large they are."""
        server.well, server.then = 10, then

        with pytest.raises(SystemExit, match="was answered well"):
            _load(server).run(tmp_path, 1)


def test_percentiles() -> None:
    """The smallest value that so large a share does not exceed."""
    values = list(range(1, 201))

    assert [percentile(values, share) for share in (0.5, 0.99, 1)] == [100, 198, 200]
    assert percentile([7], 0.99) == 7
    assert figures([0.002, 0.001]) == {"count": 2, "p50": 1, "p99": 2, "longest": 2}
