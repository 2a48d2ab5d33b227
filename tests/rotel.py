"""A collector of somebody else's, written in another language: rotel, which passes on what it gets."""

from __future__ import annotations

import asyncio
import os
import socket
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

#: How often other ports are tried: it takes no port 0, and somebody else may be faster.
_TRIES = 5


@dataclass(frozen=True)
class Rotel:
    """Where it takes OTLP."""

    grpc: str
    http: str

    def endpoint(self, protocol: str) -> str:
        """Return the endpoint for a value of OTEL_EXPORTER_OTLP_PROTOCOL."""
        return self.grpc if protocol == "grpc" else self.http


@asynccontextmanager
async def running(forward_to: str) -> AsyncIterator[Rotel]:
    """Run it as a process of its own, which passes everything on by OTLP over gRPC at once."""
    for _ in range(_TRIES):
        ports = _free_ports()
        process = await asyncio.create_subprocess_exec(*_command(ports, forward_to), env=environment())
        try:
            if await _listens(process, ports):
                yield Rotel(*(f"http://127.0.0.1:{port}" for port in ports))
                return
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
    raise AssertionError("rotel does not start")


def _command(ports: tuple[int, int], forward_to: str) -> list[str]:
    grpc, http = ports
    return [
        *(str(program()), "start"),
        *("--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--otlp-http-endpoint", f"127.0.0.1:{http}"),
        *("--exporter", "otlp", "--otlp-exporter-endpoint", forward_to, "--disable-batching"),
    ]


def program() -> Path:
    """Return the program, which a package of Python brings."""
    found = find_spec("rotel")
    assert found is not None, "rotel is missing: pip install 'outlast[dev]' with Python 3.13 or older"
    return Path(str(found.origin)).with_name("rotel-agent")


def environment() -> dict[str, str]:
    """Return what it is started with: it is linked to the library of Python, which may lie where nobody looks."""
    return os.environ | {"LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR") or "")}


def _free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


async def _listens(process: asyncio.subprocess.Process, ports: tuple[int, int]) -> bool:
    """Wait until both ports are taken; return False when the process has ended instead."""
    async with asyncio.timeout(30):
        for port in ports:
            while True:
                if process.returncode is not None:
                    return False
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.02)
    return True
