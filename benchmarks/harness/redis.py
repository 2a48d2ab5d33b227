"""A Redis of our own: on loopback, with every write on the disk before it is answered."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.harness.bench import Bench
from benchmarks.harness.debian import program
from benchmarks.harness.process import Process, free_port


@contextmanager
def redis(bench: Bench) -> Iterator[str]:
    """Run a server with its files in a folder of this run, and give its URL."""
    port = free_port()
    settings = {
        "bind": "127.0.0.1",
        "port": str(port),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",  # the log of writes is enough: snapshots would only cost time
    }
    redis_server = program("redis-server")
    said = subprocess.run([redis_server, "--version"], check=True, capture_output=True, text=True).stdout
    bench.versions["Redis"] = re.findall(r"v=([\d.]+)", said)[0]
    command = [redis_server, *(part for name, value in settings.items() for part in (f"--{name}", value))]
    with Process(command, bench.new_folder("redis")) as server:
        server.says("Ready to accept connections")
        yield f"redis://127.0.0.1:{port}"
