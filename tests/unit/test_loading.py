"""What the garbage collector does while modules are loaded."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from outlast.loading import loading


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    """Leave the collector as it was."""
    yield
    gc.enable()
    gc.unfreeze()


def test_nothing_is_collected_meanwhile() -> None:
    """Not even where a module cannot be loaded does it stay so."""
    found = []

    def load() -> None:
        with loading():
            found.append(gc.isenabled())
            raise ModuleNotFoundError

    with pytest.raises(ModuleNotFoundError):
        load()
    assert found == [False]
    assert gc.isenabled()


def test_a_program_that_collects_nothing_keeps_it_so() -> None:
    """Nobody switches on what somebody has switched off."""
    gc.disable()
    with loading():
        pass

    assert not gc.isenabled()


def test_what_was_made_is_old() -> None:
    """It is not looked through at once, and nothing of it stays frozen."""
    gc.collect()
    with loading():
        made = [[] for _ in range(5_000)]  # type: ignore[var-annotated]

    assert gc.get_freeze_count() < 5_000
    assert not any(one is made for one in gc.get_objects(generation=0))


def test_what_a_program_has_frozen_stays_frozen() -> None:
    """It did so to have its children share memory with it."""
    gc.freeze()
    with loading():
        pass

    assert gc.get_freeze_count() > 0
