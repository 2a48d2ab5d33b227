"""What scripts/venv.sh does on machines that lack something."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "venv.sh"


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """Return a folder for PATH that holds what the script itself calls, and no Python, pip, uv or virtualenv."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("cat", "mkdir", "rm", "sh", "touch"):
        found = shutil.which(tool)
        assert found
        (folder / tool).symlink_to(found)
    return folder


def add_program(folder: Path, name: str, script: str) -> Path:
    """Put a shell script into a folder of programs and return its path."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def run_script(*arguments: object, path: Path, python: object = "") -> subprocess.CompletedProcess[str]:
    """Run the script with no program to be found but those in `path`."""
    environment = {**os.environ, "PATH": str(path), "PYTHON": str(python)}
    command = ["/bin/sh", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)


def test_no_python_is_one_line_that_names_the_cure(bare_path: Path, tmp_path: Path) -> None:
    """Where there is no Python at all, nothing is made and one line says how to name one."""
    done = run_script(tmp_path / "venv", "pip", path=bare_path)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "needs Python 3.11 or newer, and python3 is not there" in line
    assert "make PYTHON=/path/to/python3.11" in line
    assert not (tmp_path / "venv").exists()


def test_an_old_python_is_one_line_that_names_its_version(bare_path: Path, tmp_path: Path) -> None:
    """A Python that is too old is named with its version, and an environment that stands is left alone."""
    old = add_program(bare_path, "python3", 'case "$2" in *exit*) exit 1 ;; *) echo 3.9.18 ;; esac')
    (tmp_path / "venv").mkdir()
    done = run_script(tmp_path / "venv", "pip", path=bare_path, python=old)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert f"needs Python 3.11 or newer, and {old} is 3.9.18" in line
    assert (tmp_path / "venv").exists()


def test_a_shim_that_does_not_run_is_passed_over(bare_path: Path, tmp_path: Path) -> None:
    """A python3.14 on PATH that fails when it is run does not stop the search."""
    add_program(bare_path, "python3.14", "exit 127")
    add_program(bare_path, "python3", f'exec {sys.executable} "$@"')
    done = run_script(tmp_path / "venv", "pip", path=bare_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "venv" / ".python").read_text() == "python3\n"


def test_a_missing_ensurepip_is_one_line_that_names_the_package(bare_path: Path, tmp_path: Path) -> None:
    """A Python without ensurepip, and nothing to put pip in its place, names the Debian package that brings it."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    for module in ("ensurepip", "pip"):
        (hidden / f"{module}.py").write_text("raise ImportError")
    python = add_program(bare_path, "python3", f'PYTHONPATH={hidden} exec {sys.executable} "$@"')
    done = run_script(tmp_path / "venv", "pip", path=bare_path, python=python)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert f"apt install python3.{sys.version_info.minor}-venv" in line


def test_a_half_made_environment_is_made_anew(bare_path: Path, tmp_path: Path) -> None:
    """What an interrupted run left behind is thrown away, and the next question finds the environment whole."""
    folder = tmp_path / "venv"
    (folder / "bin").mkdir(parents=True)
    (folder / ".unfinished").touch()
    (folder / "bin" / "python").symlink_to(sys.executable)
    (folder / "leftover").touch()
    assert run_script("--is-current", folder, path=bare_path).returncode == 1

    done = run_script(folder, "pip", path=bare_path, python=sys.executable)
    assert done.returncode == 0, done.stderr
    assert not (folder / "leftover").exists()
    assert run_script("--is-current", folder, path=bare_path, python=sys.executable).returncode == 0
    assert run_script("--is-current", folder, path=bare_path, python="another-python").returncode == 1
