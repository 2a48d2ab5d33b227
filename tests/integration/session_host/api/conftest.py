"""How tests of the client API get a stage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from .stage import Stage


@pytest.fixture
async def closed_stage() -> AsyncIterator[Stage]:
    """Return a stage that is yet to be opened."""
    with TemporaryDirectory(prefix="outlast-api-") as folder:  # short enough for a Unix socket
        async with AsyncExitStack() as stay:
            yield Stage(stay, Path(folder))


@pytest.fixture
async def stage(closed_stage: Stage) -> Stage:
    """Return a stage with the usual configuration."""
    return await closed_stage.open()
