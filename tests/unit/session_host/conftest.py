"""What the tests of the session host's rules stand on."""

from __future__ import annotations

import pytest

from .stage import Stage, make_config


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Return a host of one agent whose rules are the usual ones: 15 minutes idle, 8 hours in all."""
    return Stage(monkeypatch, make_config())
