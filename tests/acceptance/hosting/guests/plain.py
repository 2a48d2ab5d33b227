"""An agent without any library: it speaks the container contract with the standard library alone, for tests of a host.

    python plain.py            serves 127.0.0.1, the port in PORT
    python plain.py SOCKET     serves a Unix socket

Where OUTLAST_FRONT_DOOR_SECRET is set, a request that does not show it is answered 403. ``GET /ping`` answers the
status and the second since when it holds; ``POST /invocations`` answers ``{"pid", "session", "count", "body"}``: the
process, the session header, how many invocations this process has been given, the payload. A payload that is an object
asks for more, in this order:

    "env": true                all variables are in the answer, "env"
    "headers": true            the request's headers too, in lower case
    "fds": true                what /proc/self/fd holds: {"0": "/dev/null", ...}
    "python": CODE             runs CODE; what it assigns to ``answer`` is in the answer, "python"; its exception is
                               answered with status 500 and {"error": "PermissionError: ..."}
    "allocate": BYTES          takes memory and keeps it; a MemoryError is answered with status 500
    "ignore_sigterm": true     SIGTERM does nothing from now on
    "exit_on_sigterm": CODE    SIGTERM makes it exit with CODE
    "child": true              starts a child in the same group that ignores SIGTERM, "child" is its pid
    "daemon": true             starts a daemon (two forks, setsid) that ignores SIGTERM, "daemon" is its pid
    "busy": SECONDS            /ping says HealthyBusy for so long; 0 ends it
    "unhealthy": SECONDS       /ping answers 503 for so long; 0 ends it
    "silent": SECONDS          /ping does not answer for so long
    "sleep": SECONDS           waits before it answers
    "exit": CODE               ends the process, no answer
    "kill": SIGNAL             sends itself that signal, no answer
    "stream": N                answers N server-sent events {"chunk": 0, "pid": ...}, ...
    "every": SECONDS           waits so long before each of them
    "then": "exit" | "break"   after the last one: ends the process, or breaks the connection off
    "status": CODE             answers with that status
    "size": BYTES              answers so many bytes (application/octet-stream)

PLAIN_START may hold such an object: it is done before the process listens.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from typing import Any, BinaryIO

SECRET_HEADER = "x-outlast-secret"
SESSION_HEADER = "x-amzn-bedrock-agentcore-runtime-session-id"

Headers = dict[str, str]


class Agent:
    """What the process knows of itself."""

    def __init__(self) -> None:
        self.count = 0
        self.kept: list[bytearray] = []
        self.unhealthy_until = 0.0
        self.silent_until = 0.0
        self._busy_until = 0.0
        self._status = "Healthy"
        self._since = int(time.time())
        self._lock = threading.Lock()

    def ping(self) -> dict[str, Any]:
        """Return what /ping answers."""
        with self._lock:
            status = "HealthyBusy" if time.monotonic() < self._busy_until else "Healthy"
            if status != self._status:
                self._status, self._since = status, int(time.time())
            return {"status": self._status, "time_of_last_update": self._since}

    def be_busy(self, seconds: float) -> None:
        """Say HealthyBusy for so long."""
        self._busy_until = time.monotonic() + seconds
        self.ping()

    def prepare(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked for before the answer begins; return what belongs into it."""
        answer: dict[str, Any] = {}
        if payload.get("env"):
            answer["env"] = dict(os.environ)
        if payload.get("fds"):
            answer["fds"] = open_descriptors()
        if "python" in payload:
            names = {**globals(), "agent": self, "answer": None}
            exec(payload["python"], names)
            answer["python"] = names["answer"]
        if "allocate" in payload:
            self.kept.append(bytearray(payload["allocate"]))
        if payload.get("ignore_sigterm"):
            on_main(lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
        if "exit_on_sigterm" in payload:
            on_main(lambda: signal.signal(signal.SIGTERM, lambda *_: os._exit(payload["exit_on_sigterm"])))
        if payload.get("child"):
            answer["child"] = start_child()
        if payload.get("daemon"):
            answer["daemon"] = start_daemon()
        if "busy" in payload:
            self.be_busy(payload["busy"])
        if "unhealthy" in payload:
            self.unhealthy_until = time.monotonic() + payload["unhealthy"]
        if "silent" in payload:
            self.silent_until = time.monotonic() + payload["silent"]
        time.sleep(payload.get("sleep", 0))
        if "exit" in payload:
            os._exit(payload["exit"])
        if "kill" in payload:
            os.kill(os.getpid(), payload["kill"])
            time.sleep(60)
        return answer


class Connection:
    """One connection: requests are answered one after the other."""

    def __init__(self, agent: Agent, peer: socket.socket) -> None:
        self._agent = agent
        self._peer = peer
        self._file: BinaryIO = peer.makefile("rb")

    def serve(self) -> None:
        """Answer until the peer has gone."""
        try:
            while line := self._file.readline():
                method, path, _ = line.decode("latin-1").split(" ", 2)
                headers = self._headers()
                self._handle(method, path.partition("?")[0], headers, self._body(headers))
        except (OSError, ValueError):
            pass
        finally:
            self._file.close()
            self._peer.close()

    def _headers(self) -> Headers:
        headers: Headers = {}
        while (line := self._file.readline()) not in (b"\r\n", b"\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        return headers

    def _body(self, headers: Headers) -> bytes:
        if headers.get("expect", "").lower() == "100-continue":
            self._peer.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" not in headers.get("transfer-encoding", ""):
            return self._file.read(int(headers.get("content-length", 0)))
        body = bytearray()
        while size := int(self._file.readline().partition(b";")[0], 16):
            body += self._file.read(size)
            self._file.readline()
        self._headers()
        return bytes(body)

    def _handle(self, method: str, path: str, headers: Headers, body: bytes) -> None:
        secret = os.environ.get("OUTLAST_FRONT_DOOR_SECRET")
        if secret and headers.get(SECRET_HEADER) != secret:
            self._answer(403, {"error": "Forbidden"})
        elif (method, path) == ("GET", "/ping"):
            self._ping()
        elif (method, path) == ("POST", "/invocations"):
            try:
                self._invoke(headers, body)
            except ConnectionError:
                raise
            except BaseException as error:
                self._answer(500, {"error": f"{type(error).__name__}: {error}"})
        else:
            self._answer(404, {"error": f"Not Found: {method} {path}"})

    def _ping(self) -> None:
        time.sleep(max(0.0, self._agent.silent_until - time.monotonic()))
        if time.monotonic() < self._agent.unhealthy_until:
            self._answer(503, {"error": "unhealthy"})
        else:
            self._answer(200, self._agent.ping())

    def _invoke(self, headers: Headers, body: bytes) -> None:
        self._agent.count += 1
        try:
            payload = json.loads(body)
        except ValueError:
            payload = body.decode("latin-1")
        answer = {
            "pid": os.getpid(),
            "session": headers.get(SESSION_HEADER),
            "count": self._agent.count,
            "body": payload,
        }
        if not isinstance(payload, dict):
            self._answer(200, answer)
            return
        if payload.get("headers"):
            answer["headers"] = headers
        answer.update(self._agent.prepare(payload))
        if "stream" in payload:
            self._stream(payload)
        elif "size" in payload:
            self._send(payload.get("status", 200), "application/octet-stream", b"x" * payload["size"])
        else:
            self._answer(payload.get("status", 200), answer)

    def _stream(self, payload: dict[str, Any]) -> None:
        self._peer.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for number in range(payload["stream"]):
            time.sleep(payload.get("every", 0))
            event = f"data: {json.dumps({'chunk': number, 'pid': os.getpid()})}\n\n".encode()
            self._peer.sendall(b"%x\r\n%s\r\n" % (len(event), event))
        if payload.get("then") == "exit":
            os._exit(0)
        if payload.get("then") == "break":
            raise ConnectionAbortedError
        self._peer.sendall(b"0\r\n\r\n")

    def _answer(self, status: int, value: object) -> None:
        self._send(status, "application/json", json.dumps(value).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        head = f"HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._peer.sendall(head.encode() + body)


def open_descriptors() -> dict[str, str]:
    """Return what this process has open, without the listing itself."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
    return found


def start_child() -> int:
    """Start a process of the same group that ignores SIGTERM; return its id."""
    child = os.fork()
    if child == 0:
        _sleep_for_ever()
    return child


def start_daemon() -> int:
    """Start a process that has left its session and its parent, and ignores SIGTERM; return its id."""
    read_end, write_end = os.pipe()
    between = os.fork()
    if between == 0:
        os.setsid()
        daemon = os.fork()
        if daemon == 0:
            _sleep_for_ever()
        os.write(write_end, str(daemon).encode())
        os._exit(0)
    os.close(write_end)
    os.waitpid(between, 0)
    with open(read_end) as file:
        return int(file.read())


def _sleep_for_ever() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
    # Descriptors are closed so that nobody takes a connection or an output for one that is still served.
    os.closerange(0, 1024)
    while True:
        time.sleep(3600)


def on_main(job: Any) -> None:
    """Run something on the main thread, which alone may set what a signal does."""
    if threading.current_thread() is threading.main_thread():
        job()
        return
    done = threading.Event()
    _jobs.append((job, done))
    os.write(_wake[1], b"x")
    done.wait()


_jobs: list[Any] = []
_wake = os.pipe()


def listen() -> socket.socket:
    """Listen where the caller of this program said."""
    if len(sys.argv) > 1:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(sys.argv[1])
    else:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(os.environ["PORT"])))
    listener.listen(128)
    return listener


def accept(agent: Agent, listener: socket.socket) -> None:
    """Serve each connection on a thread of its own."""
    while True:
        peer, _ = listener.accept()
        if listener.family != socket.AF_UNIX:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=Connection(agent, peer).serve, daemon=True).start()


def main() -> None:
    """Serve until a signal ends the process."""
    agent = Agent()
    agent.prepare(json.loads(os.environ.get("PLAIN_START", "{}")))
    threading.Thread(target=accept, args=(agent, listen()), daemon=True).start()
    while os.read(_wake[0], 1):
        job, done = _jobs.pop(0)
        job()
        done.set()


if __name__ == "__main__":
    main()
