"""A Python environment for each contender: none is measured with what another one brings along."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: What each contender's environment is made of: benchmarks/peers/NAME.txt; ours is the checkout itself.
PEERS = ROOT / "benchmarks" / "peers"
OURS = "outlast"


class Environments:
    """Makes environments where they are missing or their requirements have changed, and says which Python is theirs."""

    def __init__(self, folder: Path | None) -> None:
        """``folder`` keeps them from run to run; None: everything runs in the environment that this runs in."""
        self._folder = folder

    def python(self, name: str) -> str:
        """Return the Python that has ``name``; made at the first call, which may take a minute.

        Raises:
            SystemExit: pip cannot make it; its own message stands before.
        """
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


def _requirements(name: str) -> str:
    return f"{sys.version}\n{(PEERS / f'{name}.txt').read_text()}"
