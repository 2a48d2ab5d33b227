"""The original, where it is installed: it serves every submodule and every name that the stand-in does not have."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

#: The name that both the original and the stand-in are imported under.
PACKAGE = "bedrock_agentcore"
_CURE = "outlast provides the runtime of an agent, and the rest is the original's: pip install bedrock-agentcore"


def is_installed() -> bool:
    """Tell whether the original is on the module search path, behind the stand-in."""
    return len(sys.modules[PACKAGE].__path__) > 1


def served_by_original(module: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for a module of the stand-in.

    ``homes`` says in which submodule of the original a name is found; a submodule's own name is found in itself.
    """

    def __getattr__(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if not is_installed():
            raise AttributeError(f"module {module!r} has no attribute {name!r}: {_CURE}")
        found = import_module(home)
        return found if home == f"{module}.{name}" else getattr(found, name)

    return __getattr__


class MissingOriginal(MetaPathFinder):
    """Says what to install when a submodule is asked for that neither the stand-in nor an installed package has.

    The last of the finders: it is asked when all others have found nothing. ``from package import name`` asks for a
    submodule too, where the package has no such name.
    """

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Find nothing, and say why when it is the original that is missing."""
        if fullname.startswith(f"{PACKAGE}.") and not is_installed():
            # It is the package that is not there. Under the submodule's own name this would be swallowed by
            # `from package import submodule`, which says less.
            raise ModuleNotFoundError(f"No module named {fullname!r}: {_CURE}", name=PACKAGE)

    @classmethod
    def announce(cls) -> None:
        """Have the import system ask one of these, behind all others."""
        if not any(isinstance(finder, cls) for finder in sys.meta_path):
            sys.meta_path.append(cls())
