"""Loading of modules, many at a time."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

#: More objects than an interpreter freezes at its start (Python 3.12 does, some 400), and fewer than it then has.
_FROZEN_BY_PYTHON = 1_000


@contextmanager
def loading() -> Iterator[None]:
    """Look for no garbage within the block, which imports modules.

    They stay, and all that they make does: Python looked through it 170 times in the start of an agent, which was a
    tenth of it. What was made meanwhile, and before, counts as old afterwards, as if it had been looked at.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not something_frozen():  # which would thaw
            gc.freeze()
            gc.unfreeze()
        if collects:
            gc.enable()


def load_on_first_use(module: str, names: dict[str, Any], homes: Mapping[str, str]) -> Callable[[str], object]:
    """Return the ``__getattr__`` of a module that loads a name on its first use (PEP 562).

    ``names`` are the module's globals, ``homes`` says for each name in which module it lives.
    """

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        with loading():
            value = names[name] = getattr(import_module(homes[name]), name)
        return value

    return load


def something_frozen() -> bool:
    """Return whether somebody has frozen objects (``gc.freeze``): ``gc.unfreeze`` would thaw them."""
    return gc.get_freeze_count() >= _FROZEN_BY_PYTHON
