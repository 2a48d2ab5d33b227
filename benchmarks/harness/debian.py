"""Programs that are no Python packages, such as wrk. A missing one is unpacked from Debian's package, without root."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.harness.environments import ROOT

#: Debian's packages that have each program, the one to install first.
_PACKAGES = {"wrk": ["wrk"], "redis-server": ["redis-server", "redis-tools"]}
_UNPACKED = ROOT / ".build" / "bench" / "debian"


def program(name: str) -> str:
    """Return the path of a program: the installed one, or one from Debian's package that is unpacked for it.

    Raises:
        SystemExit: there is neither; says which package has it.
    """
    found = shutil.which(name)
    if found is not None:
        return found
    wrapper = _UNPACKED / name / "run"
    if not wrapper.is_file():
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise SystemExit(f"{name} is missing: install it (Debian: apt-get install {_PACKAGES[name][0]})")
        print(f"unpacking {name} in {wrapper.parent} ...", file=sys.stderr, flush=True)
        _unpack(name, wrapper)
    return str(wrapper)


def _unpack(name: str, wrapper: Path) -> None:
    """Download a package and what it needs and is not installed; write a script that runs it with its libraries."""
    packages, home = _PACKAGES[name], wrapper.parent
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    try:
        # What an installation would bring along: lines "Inst NAME (VERSION …)".
        plan = _run(home, "apt-get", "install", "--simulate", "--no-install-recommends", *packages)
        needed = {*packages, *re.findall(r"^Inst (\S+) \(", plan, re.MULTILINE)}
        _run(home, "apt-get", "download", *sorted(needed))
        for file in home.glob("*.deb"):
            _run(home, "dpkg-deb", "-x", file.name, ".")
    except subprocess.CalledProcessError as error:
        raise SystemExit(
            f"{name} is missing, and {' '.join(error.cmd)} fails:\n{error.stderr}\n"
            f"install it (Debian: apt-get update, then apt-get install {packages[0]})"
        ) from None
    programs = [path for folder in ("usr/bin", "usr/sbin", "bin", "sbin") for path in home.glob(f"{folder}/{name}")]
    libraries = {str(path.parent) for path in home.glob("**/*.so*")}
    if not programs:
        raise SystemExit(f"{name} is not in {', '.join(packages)}: install it")
    path = f"LD_LIBRARY_PATH={shlex.quote(':'.join(sorted(libraries)))} " if libraries else ""
    wrapper.write_text(f'#!/bin/sh\n{path}exec {shlex.quote(str(programs[0]))} "$@"\n')
    wrapper.chmod(0o755)


def _run(home: Path, *command: str) -> str:
    return subprocess.run(command, cwd=home, check=True, capture_output=True, text=True).stdout
