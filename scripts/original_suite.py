"""Fetch the original's own test-suite, and print the folder that it is in.

It is part of the original's source distribution, of which nothing is kept in this repository: that of the version that
is installed is downloaded from the package index into .build/, once. pip prepares it with hatchling, which `make`
installs with everything else that the tests need.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

DISTRIBUTION = "bedrock-agentcore"
BUILD = Path(__file__).resolve().parent.parent / ".build"


def main() -> int:
    """Fetch what is not there yet; return the exit code."""
    wanted = version(DISTRIBUTION)
    folder = BUILD / f"{DISTRIBUTION}-{wanted}"
    if not folder.exists():
        BUILD.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILD) as temporary:
            if (unpacked := fetch(wanted, Path(temporary))) is None:
                print(
                    f"the source distribution of {DISTRIBUTION} {wanted} could not be downloaded: see pip's own "
                    "message above, and run this again with a package index in reach",
                    file=sys.stderr,
                )
                return 1
            unpacked.rename(folder)
    print(folder)
    return 0


def fetch(wanted: str, folder: Path) -> Path | None:
    """Download and unpack a version; return where it is, or None when pip could not have it."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    source_only = ["--no-binary", ":all:", "--no-build-isolation"]
    downloaded = subprocess.run([*command, *source_only, "--dest", folder, f"{DISTRIBUTION}=={wanted}"], check=False)
    if downloaded.returncode:
        return None
    [archive] = folder.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    archive.unlink()
    [unpacked] = folder.iterdir()
    return unpacked


if __name__ == "__main__":
    sys.exit(main())
