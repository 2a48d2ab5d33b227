"""What the tests of the stand-in share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from outlast.context import current_invocation


@pytest.fixture(autouse=True)
def _outside_of_an_invocation() -> Iterator[None]:
    """Begin outside of any invocation, and leave none behind."""
    token = current_invocation.set(None)
    yield
    current_invocation.reset(token)
