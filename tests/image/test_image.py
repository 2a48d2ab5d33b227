"""What the image is made of, and what it is made from."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from .container import STATE
from .engine import ROOT, Engine

pytestmark = pytest.mark.image

#: Names of processor architectures, as Docker, Debian and Python write them.
ARCHITECTURES = re.compile(r"x86|amd64|i[36]86|aarch64|\barm|linux-gnu|--platform|musl", re.IGNORECASE)


def in_image(engine: Engine, image: str, script: str) -> list[str]:
    """Return the words that a shell in the image prints."""
    return engine.docker("run", "--rm", "--entrypoint", "sh", image, "-c", script).split()


def test_no_processor_is_named() -> None:
    """The image is built for any that its base and the wheels are there for."""
    assert not ARCHITECTURES.findall((ROOT / "Dockerfile").read_text("utf-8"))


def test_what_it_says_of_itself(engine: Engine, image: str) -> None:
    """A user by number, who is not root; two ports; one volume; a check; outlast itself is what is run."""
    config = engine.inspect(image)["Config"]

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", config["User"])
    assert set(config["ExposedPorts"]) == {"8080/tcp", "50051/tcp"}
    assert set(config["Volumes"]) == {STATE}
    assert config["Healthcheck"]["Test"] == ["CMD", "outlast", "health"]
    assert config["Entrypoint"] == ["outlast"]
    assert config["StopSignal"] == "SIGTERM"


def test_nothing_is_left_of_the_build(
    engine: Engine, image: str, base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No compiler, no source, no cache, no tool of the build; the wheel is installed once, with all that it can use."""
    assert in_image(engine, image, "for name in gcc cc g++ make hatchling; do command -v $name; done; true") == []
    assert in_image(engine, image, "ls -d /src /wheels /installed /opt/build /root/.cache 2>/dev/null; true") == []
    wheels = "find / -xdev -name 'outlast-*' \\( -name '*.dist-info' -o -name '*.whl' \\) 2>/dev/null; true"
    assert len(in_image(engine, image, wheels)) == 1
    used = "import asyncpg, botocore, jwt, prometheus_client, outlast, outlastd; print(outlast.__version__)"
    assert in_image(engine, image, f'python3 -c "{used}"') == in_image(engine, image, "outlast --version")[1:]
    with capsys.disabled():
        print(f"\nimage: {engine.inspect(image)['Size'] / 1e6:.0f} MB upon {engine.inspect(base)['Size'] / 1e6:.0f} MB")


def test_its_user_can_write_to_the_volume_alone(engine: Engine, image: str) -> None:
    """Beside what every system has for temporary files."""
    writable = "find / -xdev -writable \\( -type d -o -type f \\) 2>/dev/null; true"

    assert set(in_image(engine, image, writable)) <= {STATE, "/tmp", "/var/tmp", "/run/lock"}
    assert in_image(engine, image, f"test -w {STATE} && stat --format %u:%g {STATE}") == ["1000:1000"]


def test_a_change_of_the_source_installs_nothing_anew(engine: Engine, base: str, image: str, tmp_path: Path) -> None:
    """The layer with the wheel is the only one that changes, and no network is needed for it."""
    source = tmp_path / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".[!d]*", "tests", "docs"))
    with (source / "runtime" / "outlast" / "__init__.py").open("a") as file:
        file.write("# a change\n")
    with (source / "pyproject.toml").open("a") as file:
        file.write("\n[tool.other]\n")

    engine.build("outlast-test-changed", base, source)

    layers, changed = (engine.inspect(name)["RootFS"]["Layers"] for name in (image, "outlast-test-changed"))
    assert len(changed) == len(layers)
    assert len(set(layers) - set(changed)) == 1
