"""Programs that are not installed: unpacked from Debian's packages, or named with what to do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.harness import debian

#: A Debian in which wrk is not installed and needs a library that is not either.
_APT = """#!/bin/sh
case "$*" in
"install --simulate --no-install-recommends wrk")
    echo 'NOTE: This is only a simulation!'
    echo 'Inst libx1 (1.0 Debian:12 [amd64])'
    echo 'Inst wrk (4.1 Debian:12 [amd64])'
    echo 'Conf wrk (4.1 Debian:12 [amd64])' ;;
"download libx1 wrk") : >libx1.deb; : >wrk.deb ;;
*) echo "E: not foreseen: $*" >&2; exit 100 ;;
esac
"""
_DPKG = """#!/bin/sh
case "$*" in
"-x wrk.deb .")
    mkdir -p usr/bin
    printf '#!/bin/sh\\necho "$LD_LIBRARY_PATH" "$@"\\n' >usr/bin/wrk
    chmod +x usr/bin/wrk ;;
"-x libx1.deb .") mkdir -p usr/lib/here; : >usr/lib/here/libx.so.1 ;;
*) exit 2 ;;
esac
"""


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have nothing on PATH but the system's shell and the like; return where programs are unpacked."""
    tools = tmp_path / "tools"
    monkeypatch.setattr(debian, "_UNPACKED", tmp_path / "unpacked")
    monkeypatch.setattr(shutil, "which", lambda name: str(tools / name) if (tools / name).exists() else None)
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    return tmp_path / "unpacked"


def _install(tools: Path, **programs: str) -> None:
    for name, text in programs.items():
        path = tools / name.replace("_", "-")
        path.write_text(text)
        path.chmod(0o755)


def test_an_installed_program_is_taken_as_it_is(unpacked: Path) -> None:
    """Nothing is downloaded for it."""
    tools = unpacked.parent / "tools"
    _install(tools, wrk="")

    assert debian.program("wrk") == str(tools / "wrk")
    assert not unpacked.exists()


def test_a_missing_program_is_unpacked_with_its_libraries(unpacked: Path) -> None:
    """What runs it is a script that names them; made once."""
    tools = unpacked.parent / "tools"
    _install(tools, apt_get=_APT, dpkg_deb=_DPKG)

    path = debian.program("wrk")
    (tools / "dpkg-deb").write_text("#!/bin/sh\nexit 1\n")

    said = subprocess.run([path, "a b", "c"], capture_output=True, text=True, check=True).stdout
    assert said == f"{unpacked / 'wrk' / 'usr' / 'lib' / 'here'} a b c\n"
    assert debian.program("wrk") == path


def test_a_package_that_cannot_be_had_is_named(unpacked: Path) -> None:
    """With what apt-get said, and what to do; the next run tries again."""
    tools = unpacked.parent / "tools"
    _install(tools, apt_get="#!/bin/sh\necho 'E: Unable to locate package wrk' >&2\nexit 100\n", dpkg_deb=_DPKG)

    with pytest.raises(
        SystemExit, match=r"wrk is missing, and apt-get install (.|\n)*Unable to locate(.|\n)*apt-get update"
    ):
        debian.program("wrk")

    _install(tools, apt_get=_APT)
    assert debian.program("wrk")


def test_a_machine_without_packages_is_told_what_to_install(unpacked: Path) -> None:
    """One line names cause and cure."""
    with pytest.raises(SystemExit, match=r"^wrk is missing: install it \(Debian: apt-get install wrk\)$"):
        debian.program("wrk")
