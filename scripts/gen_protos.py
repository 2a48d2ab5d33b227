"""Generate runtime/outlast/v1 from proto/.

The proto path, the proto package and the Python package are the same, so nothing that protoc writes needs patching.
Run it by `make proto`, in an environment of its own: the generator is pinned older than the runtime it serves.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
OUT = ROOT / "runtime"
PACKAGE = Path("outlast/v1")


def main() -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where the tree differs")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        if code := generate(fresh):
            return code
        changed = differences(fresh / PACKAGE, OUT / PACKAGE)
        if not arguments.check:
            replace(changed, fresh / PACKAGE, OUT / PACKAGE)
            return 0
    if changed:
        print(
            f"{', '.join(changed)}: not what proto/ generates; run `make proto` and commit the result", file=sys.stderr
        )
    return 1 if changed else 0


def generate(out: Path) -> int:
    """Generate all files below `out`; return protoc's exit code."""
    files = proto_files()
    services = [name for name in files if name.endswith("_service.proto")]
    messages = [f"--python_out={out}", f"--mypy_out=quiet:{out}", *files]
    # The grpc plugin runs on services only: it would write a useless file for every other proto.
    stubs = [f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet,only_async:{out}", *services]
    return run_protoc(messages) or run_protoc(stubs)


def differences(fresh: Path, tree: Path) -> list[str]:
    """Return the names of generated files that differ, are missing from the tree or no longer come from a proto."""
    contents = [{path.name: path.read_bytes() for path in folder.glob("*_pb2*.py*")} for folder in (fresh, tree)]
    return sorted(
        name for name in contents[0].keys() | contents[1].keys() if contents[0].get(name) != contents[1].get(name)
    )


def replace(names: list[str], fresh: Path, tree: Path) -> None:
    """Make the named files of the tree what they are in the fresh folder, gone where they are not there."""
    for name in names:
        if (fresh / name).exists():
            shutil.copyfile(fresh / name, tree / name)
        else:
            (tree / name).unlink()


def proto_files() -> list[str]:
    """Return our proto files, relative to proto/. Those of Google are there for tools; their code is installed."""
    return sorted(path.relative_to(PROTO).as_posix() for path in (PROTO / PACKAGE).rglob("*.proto"))


def run_protoc(arguments: list[str]) -> int:
    """Run protoc with our include paths; return its exit code."""
    include = [PROTO, resources.files("grpc_tools") / "_proto"]
    # The plugins are beside this Python, which need not be on PATH.
    plugins = [f"--plugin={path}" for path in Path(sys.executable).parent.glob("protoc-gen-mypy*")]
    return int(protoc.main(["protoc", *(f"-I{path}" for path in include), *plugins, *arguments]))


if __name__ == "__main__":
    sys.exit(main())
