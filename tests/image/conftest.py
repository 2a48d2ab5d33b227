"""The engine that the tests of the image use, and the image itself. Run by ``make image-test``.

``engine``, ``image`` and ``base`` are made once for all tests:

- ``engine.docker("run", …)`` is the command line; ``engine.environment`` has DOCKER_HOST for other programs, such as
  ``subprocess.run(["docker-compose", …], env=engine.environment)``.
- ``image`` is the name of the built image, ``base`` that of the image it was built upon: a bare system with python3. No
  other image can be had: an engine of our own has no way out of its network.
- ``engine.run_in_network("curl", …)`` runs a command where published ports are, and ``engine.in_network(…)`` gives the
  words to start one with. Publish with ``--publish 127.0.0.1::8080``, and ask ``docker port`` for the number. Names of
  containers resolve in networks that ``docker network create`` has made, as everywhere.

An engine that answers ``docker info`` is used as it is, with the Dockerfile's own base image, or the one that the
variable BASE names. Else root gets one of its own (own_engine.py) with a base made here (base_image.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from .base_image import make_base
from .container import Containers
from .engine import ROOT, Engine
from .own_engine import own_engine

IMAGE = "outlast-test"


def _default_base() -> str:
    (name,) = re.findall(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    return os.environ.get("BASE") or str(name)


@pytest.fixture(scope="session")
def _stage() -> Iterator[tuple[Engine, str]]:
    """Give an engine in which the image is built, and the name of its base."""
    if (engine := Engine.of_this_machine()) is not None:
        engine.build(IMAGE, _default_base())
        yield engine, _default_base()
        return
    with own_engine() as own:
        with own.running(isolated=False) as builder:
            base = make_base(builder)
            builder.build(IMAGE, base)
        with own.running(isolated=True) as engine:
            yield engine, base


@pytest.fixture(scope="session")
def engine(_stage: tuple[Engine, str]) -> Engine:
    """Give the engine."""
    return _stage[0]


@pytest.fixture(scope="session")
def base(_stage: tuple[Engine, str]) -> str:
    """Give the name of the base image."""
    return _stage[1]


@pytest.fixture(scope="session")
def image(_stage: tuple[Engine, str]) -> str:
    """Give the name of the image."""
    return IMAGE


@pytest.fixture
def containers(engine: Engine, image: str) -> Iterator[Containers]:
    """Start containers; at the end of the test none is left."""
    containers = Containers(engine, image)
    try:
        yield containers
    finally:
        containers.close()
