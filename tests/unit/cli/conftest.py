"""A task manager for the command line to ask."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .scripted import Scripted


@pytest.fixture
async def manager() -> AsyncIterator[Scripted]:
    """A task manager on a free port."""
    scripted = Scripted()
    await scripted.start()
    yield scripted
    await scripted.stop()
