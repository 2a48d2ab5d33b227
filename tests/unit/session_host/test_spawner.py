"""The file that the spawner is run from."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from outlastd.session_host.processes import spawner

_SERVICES = Path(spawner.__file__).parents[3]
#: What takes long to load, has threads, or is not Python's own.
_HEAVY = {"asyncio", "dataclasses", "inspect", "logging", "outlast", "subprocess", "tempfile", "threading"}


def test_it_loads_little() -> None:
    """Every warden is a copy of it, and a host waits for it before anything else."""
    program = f"import sys; sys.path.append({str(_SERVICES)!r}); import {spawner.__name__}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())

    assert spawner.__name__ in loaded
    assert loaded & _HEAVY == set()
    assert {name for name in loaded if name.startswith("outlastd.")} == {
        "outlastd.file_lock",
        "outlastd.session_host",
        *(
            f"outlastd.session_host.processes{name}"
            for name in ("", ".descendants", ".message", ".program", ".spawner", ".warden")
        ),
    }


def test_it_ends_when_its_host_has_gone() -> None:
    """Its standard input is a socket, of which the host has the other end."""
    end, other = socket.socketpair()
    with other, subprocess.Popen([sys.executable, "-I", "-S", spawner.__file__], stdin=other.fileno()) as popen:
        end.close()

        assert popen.wait(60) == 0
