"""Programs with the stand-in on their path, each in a Python of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import outlast
import outlastd
from outlast.compat import compat_path

ROOTS = [Path(str(package.__file__)).parents[1] for package in (outlast, outlastd)]


def run(
    program: str, *path: Path, options: Iterable[str] = (), folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program with the stand-in first on its path, then ``path``."""
    python_path = os.pathsep.join(map(str, [compat_path(), *path]))
    return subprocess.run(
        [sys.executable, *options, "-c", program],
        env=os.environ | {"PYTHONPATH": python_path},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


class Hiding:
    """An environment in which packages that are installed are not."""

    def __init__(self, folder: Path, *hidden: str) -> None:
        """Make ``folder`` look like the installed packages, without those whose name starts with one of ``hidden``."""
        self._packages = folder / "packages"
        self._packages.mkdir()
        for site in {Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("platlib"))}:
            for entry in site.iterdir():
                if not entry.name.startswith(hidden) and entry.name != "__pycache__":
                    (self._packages / entry.name).symlink_to(entry)

    def run(self, program: str) -> subprocess.CompletedProcess[str]:
        """Run a program there, with the stand-in first on its path."""
        return run(program, *ROOTS, self._packages, options=["-S"], folder=self._packages.parent)


def original() -> Path:
    """Return the folder of the installed original, without loading it."""
    spec = find_spec("bedrock_agentcore")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line of what a program that failed wrote."""
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr.splitlines()[-1]
