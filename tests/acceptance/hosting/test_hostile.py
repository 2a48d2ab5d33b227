"""Hostile input: each is answered with a clear error or cut off, others go on, and memory stays flat."""

from __future__ import annotations

import random
import socket
import string
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..agent_process import until
from .conftest import PLAIN, Hosts
from .host_process import Host, session_id
from .processes import descriptors

#: How much more memory the host may hold after all of it: what no leak explains.
SLACK = 32 * 1024 * 1024
SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


def ask(port: int, request: bytes) -> bytes:
    """Send bytes on a connection of their own; return the first line of what comes back, empty for nothing."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            connection.sendall(request)
            return connection.makefile("rb").readline().strip()
        except (BrokenPipeError, ConnectionResetError):
            return b""


def malformed(choice: random.Random) -> bytes:
    """Return a request that is wrong in one of many ways."""
    noise = "".join(choice.choices(string.printable, k=choice.randrange(1, 80)))
    path = choice.choice(
        [
            "/runtimes/../../etc/passwd/invocations",
            "/runtimes/%2e%2e%2f%2e%2e/invocations",
            "/runtimes/plain%00/invocations",
            "/runtimes/%252e%252e/invocations",
            "/runtimes/arn%3Aaws%3As3%3A%3A%3Abucket/invocations",
            "/runtimes/arn%3Aaws%3Abedrock-agentcore%3Aus-west-2%3A1%3Aruntime%2F..%2Fplain/invocations",
            "/runtimes//invocations",
            "/runtimes/" + "a" * choice.randrange(200, 9_000) + "/invocations",
            "/sessions/plain/../../x",
            "/" + "".join(choice.choices("%/.\\~;?abc0", k=40)),
        ]
    )
    good = "/runtimes/plain/invocations"
    kind = choice.randrange(9)
    if kind == 0:
        return choice.randbytes(choice.randrange(1, 400)) + b"\r\n\r\n"
    if kind == 1:
        return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{{}}".encode("latin-1", "replace")
    if kind == 2:  # header injection
        return f"POST {good} HTTP/1.1\r\nHost: 127.0.0.1\r\n{SESSION}: {'a' * 40}\rX-Evil: 1\r\n\r\n".encode()
    if kind == 3:  # an id of any length and kind
        name = "".join(choice.choices("/.;%\t \x7f\u00e9abc", k=choice.randrange(0, 5_000)))
        head = f"POST {good} HTTP/1.1\r\nHost: 127.0.0.1\r\n{SESSION}: {name}\r\nContent-Length: 2\r\n\r\n{{}}"
        return head.encode("utf-8")
    if kind == 4:  # lengths that contradict each other
        return (
            f"POST {good} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 7\r\n"
            f"Transfer-Encoding: chunked\r\n\r\nzz\r\n{noise}"
        ).encode()
    if kind == 5:
        head = f"POST {good} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        return head.encode() + b"FFFFFFFFFFFFFFFFFF\r\n"
    if kind == 6:
        return f"{noise} {good} HTTP/1.1\r\n\r\n".encode()
    if kind == 7:
        length = choice.choice(["-1", "1e9", "99999999999"])
        return f"POST {good} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n{{}}".encode()
    return f"GET /sessions?pageSize={noise}&state={noise} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def storm(host: Host, count: int, seed: int) -> Counter[bytes]:
    """Send malformed requests, 16 at a time; return how often each first line came back."""

    def one(number: int) -> bytes:
        return ask(host.port, malformed(random.Random(seed + number)))

    with ThreadPoolExecutor(16) as pool:
        return Counter(line[:12] for line in pool.map(one, range(count)))


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_malformed_requests(hosts: Hosts, count: int) -> None:
    """Malformed requests are answered 4xx or cut off; nothing starts or leaks, the next good one works."""
    host = hosts.start(PLAIN)
    storm(host, 500, 0)
    before, open_before = host.memory(), descriptors(host.pid)
    answers = storm(host, count, 1_000_000)
    until(lambda: descriptors(host.pid) <= open_before + 2, "the end of the connections")
    after = host.memory()
    print(f"{count} malformed requests: {answers}; memory {before} before, {after} after")
    assert not [line for line in answers if line.startswith(b"HTTP/1.1 5")]
    allowed = (b"HTTP/1.1 4", b"HTTP/1.0 4", b"")
    wrong = {line: count for line, count in answers.items() if line and not line.startswith(allowed[:2])}
    assert set(wrong) <= {b"HTTP/1.1 200"}, answers  # a list whose noise means nothing
    assert after < before + SLACK
    assert host.sessions() == []
    assert not hosts.guests()
    assert host.invoke("plain", {}, session_id())["count"] == 1
    assert not [line for line in host.lines if line["level"] == "ERROR"]


def test_connections_that_say_nothing(hosts: Hosts) -> None:
    """Half-open connections and bodies that never come hold up nobody, and are gone with their clients."""
    host = hosts.start(PLAIN)
    session = session_id()
    host.invoke("plain", {}, session)
    before, open_before = host.memory(), descriptors(host.pid)
    beginnings = (
        b"",
        b"POST /runtimes/plain/invoc",
        b"POST /runtimes/plain/invocations HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        b"POST /runtimes/plain/invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000000\r\n\r\n{",
    )
    held = []
    for number in range(400):
        connection = socket.create_connection(("127.0.0.1", host.port), timeout=30)
        connection.sendall(beginnings[number % len(beginnings)])
        held.append(connection)
    assert host.invoke("plain", {}, session)["count"] == 2
    assert host.memory() < before + SLACK
    for connection in held:
        connection.close()
    until(lambda: descriptors(host.pid) <= open_before + 2, "the end of the connections")
