"""The first process of a container, tried out as one that gets the orphans of those below it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

START = """
import os, signal, sys, time
from outlast.cli import init
from outlastd.session_host.processes import descendants
descendants.adopt()
first = os.getpid()
init.go_on_in_child()
"""


def start(code: str) -> subprocess.Popen[str]:
    """Start a first process whose child runs ``code``."""
    return subprocess.Popen([sys.executable, "-c", START + code], stdout=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for its end; return exit code and output."""
    with process:
        output, _ = process.communicate(timeout=60)
    return process.returncode, output


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [("", 0), ("sys.exit(3)", 3), ("os.kill(os.getpid(), signal.SIGKILL)", 137)],
    ids=["0", "3", "killed"],
)
def test_it_ends_as_its_child_does(code: str, exit_code: int) -> None:
    """With the same exit code, or that of shells for a signal."""
    assert ended(start(code)) == (exit_code, "")


def test_signals_reach_the_child() -> None:
    """Those that it listens to, and SIGTERM before it listens to anything."""
    process = start("""
signal.signal(signal.SIGHUP, lambda *_: print("heard", os.getpid() != first, flush=True))
print("listens", flush=True)
while True:
    signal.pause()
""")
    assert process.stdout is not None
    assert process.stdout.readline() == "listens\n"

    process.send_signal(signal.SIGHUP)
    assert process.stdout.readline() == "heard True\n"
    process.send_signal(signal.SIGTERM)

    assert ended(process) == (128 + signal.SIGTERM, "")


@pytest.mark.skipif(sys.platform != "linux", reason="no other system has a /proc, or gives a process its orphans")
def test_orphans_are_buried() -> None:
    """A process whose parent has ended is gone once it has ended too, and the child's own children stay its own."""
    code = """
script = "true & echo $!"
import subprocess
orphan = int(subprocess.check_output(["sh", "-c", script]))
while os.path.exists(f"/proc/{orphan}"):
    time.sleep(0.01)
print("gone", subprocess.call(["sh", "-c", "exit 5"]))
"""
    assert ended(start(code)) == (0, "gone 5\n")
