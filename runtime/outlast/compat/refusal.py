"""What a stand-in module says when it is asked for a name that it does not have."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType


def refuse_unknown(module: str, offered: list[str]) -> Callable[[str], ModuleType]:
    """Return a ``__getattr__`` for a stand-in module: a submodule, or an error that names what there is."""

    def __getattr__(name: str) -> ModuleType:
        if name.startswith("__"):  # Python itself asks for these, and goes on without
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        submodule = f"{module}.{name}"
        try:
            # `from package import submodule` asks here before it looks for the submodule.
            return import_module(submodule)
        except ModuleNotFoundError as error:
            if error.name != submodule:
                raise
        # Not an AttributeError: `from module import name` would put its own message in place of this one.
        raise ImportError(f"outlast's stand-in for {module} has no {name!r}; it offers {', '.join(offered)}")

    return __getattr__
