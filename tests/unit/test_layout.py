"""The shape of the repository and of what is built from it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def modules_below(folder: str) -> list[Path]:
    """Return the Python files of a source root, relative to the repository."""
    return [path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize("root", ["proto", "runtime", "services"])
def test_a_source_root_holds_folders_only(root: str) -> None:
    """Source roots are on sys.path in development, so a module directly in one would be a top-level module."""
    assert [path.name for path in (ROOT / root).iterdir() if path.suffix in {".py", ".pyi"}] == []


def test_proto_holds_only_protos() -> None:
    """Nothing but .proto files is below proto/."""
    files = [path for path in (ROOT / "proto").rglob("*") if path.is_file()]
    assert files
    assert [path.name for path in files if path.suffix != ".proto"] == []


@pytest.mark.parametrize("root", ["runtime", "services"])
def test_every_module_has_a_noun_for_its_name(root: str) -> None:
    """No folder or module is named for being a drawer, but what the stand-in has to name as the original does."""
    drawers = {"common", "helper", "helpers", "misc", "util", "utils"}
    ours = [path for path in modules_below(root) if "standin" not in path.parts]
    assert [path for path in ours if drawers & {part.strip("_") for part in path.with_suffix("").parts}] == []


@pytest.mark.parametrize("root", ["runtime", "services"])
def test_every_folder_of_modules_is_a_package(root: str) -> None:
    """A folder that lacks __init__.py would be importable but escape the layer contracts."""
    folders = {path.parent for path in modules_below(root)}
    assert [folder for folder in folders if not (ROOT / folder / "__init__.py").exists()] == []


def test_the_wheel_holds_two_typed_packages_and_nothing_else(tmp_path: Path) -> None:
    """What users install is outlast and outlastd, marked as typed, with the generated code and its stubs."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
    )
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())

    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"outlast", "outlastd"}
    assert {"outlast/py.typed", "outlastd/py.typed"} <= names
    assert {"outlast/v1/task_pb2.py", "outlast/v1/task_pb2.pyi"} <= names
    sources = {str(Path(*path.parts[1:])) for root in ("runtime", "services") for path in modules_below(root)}
    assert sources == {name for name in names if name.endswith(".py")}


def test_the_lock_pins_every_dependency() -> None:
    """A dependency that the lock does not name would float: `make lock` was forgotten."""
    project = PYPROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    pinned = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert {re.split(r"[^\w-]", item)[0] for item in wanted} - {project["name"]} <= set(pinned)


def test_the_image_keeps_what_a_handler_raised_to_itself() -> None:
    """Callers of a container are told the request id; whoever wants the original's 500 sets the variable to on."""
    assert re.search(r"^(ENV | {4})OUTLAST_ERROR_DETAIL=off( |$)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
