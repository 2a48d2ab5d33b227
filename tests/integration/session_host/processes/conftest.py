"""A launcher for each test, and a folder that any user may enter."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from .stage import Stage, running_stage


@pytest.fixture
def folder() -> Iterator[Path]:
    """Make a folder. Only its owner may enter those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="outlast-processes-"))
    folder.chmod(0o755)
    yield folder
    rmtree(folder)


@pytest.fixture
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """Run a launcher; whatever a test has started with it, nothing is left."""
    async with running_stage(folder) as stage:
        yield stage
