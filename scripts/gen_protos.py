"""Generate runtime/outlast/v1 from proto/.

The proto path, the proto package and the Python package are the same, so nothing that protoc writes needs patching.
Run it by `make proto`, in an environment of its own: the generator is pinned older than the runtime it serves.
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
OUT = ROOT / "runtime"


def main() -> int:
    """Generate all files; return protoc's exit code."""
    include = [f"-I{PROTO}", f"-I{resources.files('grpc_tools') / '_proto'}"]
    include += [f"-I{path}" for path in googleapis_roots()]
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    services = [name for name in files if name.endswith("_service.proto")]
    messages = ["protoc", *include, f"--python_out={OUT}", f"--mypy_out=quiet:{OUT}", *files]
    # The grpc plugin runs on services only: it would write a useless file for every other proto.
    stubs = ["protoc", *include, f"--grpc_python_out={OUT}", f"--mypy_grpc_out=quiet,only_async:{OUT}", *services]
    return int(protoc.main(messages) or protoc.main(stubs))


def googleapis_roots() -> list[str]:
    """Return the folders that hold google/rpc/*.proto (googleapis-common-protos ships them beside its code)."""
    import google.rpc

    return [str(Path(folder).parent.parent) for folder in google.rpc.__path__]


if __name__ == "__main__":
    sys.exit(main())
