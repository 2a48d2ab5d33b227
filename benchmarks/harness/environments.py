"""A Python environment for each contender: none is measured with what another one brings along."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: What each contender's environment is made of: benchmarks/peers/NAME.txt; ours is the checkout itself.
PEERS = ROOT / "benchmarks" / "peers"
OURS = "outlast"
#: What ours is made of that figures depend on; its own version is the commit.
_PARTS_OF_OURS = ("aiohttp", "grpcio", "uvloop", "asyncpg", "orjson", "opentelemetry-sdk")
#: Prints the versions of packages, of those that are there.
_VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


class Environments:
    """Makes environments where they are missing or their requirements have changed, and says which Python is theirs."""

    def __init__(self, folder: Path | None) -> None:
        """``folder`` keeps them from run to run; None: everything runs in the environment that this runs in."""
        self._folder = folder
        self._used: dict[str, str] = {}

    def python(self, name: str) -> str:
        """Return the Python that has ``name``; made at the first call, which may take a minute.

        Raises:
            SystemExit: pip cannot make it; its own message stands before.
        """
        if name not in self._used:
            self._used[name] = self._made(name)
        return self._used[name]

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that the environments in use were made of."""
        found = {"SQLite": sqlite3.sqlite_version}
        for name, python in self._used.items():
            packages = _PARTS_OF_OURS if name == OURS else _packages(name)
            command = [python, "-c", _VERSIONS, *packages]
            there = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for package, version in there.items():
                same = found.get(package, version) == version
                found[package if same else f"{package} beside {name}"] = version
        return found

    def _made(self, name: str) -> str:
        if self._folder is None:
            return sys.executable
        home = self._folder / name
        wanted = _requirements(name)
        stamp = home / "made-of.txt"
        if not stamp.is_file() or stamp.read_text() != wanted:
            print(f"making the environment of {name} ...", file=sys.stderr, flush=True)
            venv.create(home, with_pip=True, clear=True)
            self._install(home, "--requirement", str(PEERS / f"{name}.txt"))
            stamp.write_text(wanted)
        return str(home / "bin" / "python")

    def install_ours(self) -> None:
        """Install the checkout as users get it: a wheel with its extras, compiled to bytecode."""
        if self._folder is not None:
            self.python(OURS)
            self._install(self._folder / OURS, "--no-deps", "--force-reinstall", str(ROOT))

    @staticmethod
    def _install(home: Path, *what: str) -> None:
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
        if subprocess.run(pip, cwd=ROOT).returncode:
            raise SystemExit(f"cannot install {' '.join(what)}; see above, and try again with a package index in reach")


def _packages(name: str) -> list[str]:
    return re.findall(r"^[\w-]+", (PEERS / f"{name}.txt").read_text(), re.MULTILINE)


def _requirements(name: str) -> str:
    files = [PEERS / f"{name}.txt", *([ROOT / "pyproject.toml"] if name == OURS else [])]
    return "\n".join([sys.version, *(file.read_text() for file in files)])
