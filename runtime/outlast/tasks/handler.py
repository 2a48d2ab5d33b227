"""Functions of the user's that outlast calls: of which kind they are, and so where they run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any

from outlast.core.value import value
from outlast.tasks.looks import signature_of


class Kind(Enum):
    """How a function is run."""

    CALL = "def"
    GENERATOR = "def with yield"
    ASYNC = "async def"
    ASYNC_GENERATOR = "async def with yield"


def kind_of(function: Callable[..., object]) -> Kind:
    """Return how a function is run; partials, bound methods and objects with a ``__call__`` are looked through."""
    while isinstance(function, functools.partial):
        function = function.func
    for candidate in (function, type(function).__call__):
        if inspect.iscoroutinefunction(candidate):
            return Kind.ASYNC
        if inspect.isasyncgenfunction(candidate):
            return Kind.ASYNC_GENERATOR
        if inspect.isgeneratorfunction(candidate):
            return Kind.GENERATOR
    return Kind.CALL


def takes_context(handler: Callable[..., object]) -> bool:
    """Tell whether the handler's second parameter is named ``context`` (contract section 4.1)."""
    try:
        names = list(signature_of(handler).parameters)
    except Exception:  # a callable that has no signature to show, or whose own code for it fails
        return False
    return len(names) >= 2 and names[1] == "context"


@value(frozen=True, slots=True)
class Entrypoint:
    """A handler and what has to be known of it; made once, not for each request."""

    handler: Callable[..., Any]
    kind: Kind
    takes_context: bool

    @classmethod
    def of(cls, handler: Callable[..., Any]) -> Entrypoint:
        """Look at ``handler``."""
        return cls(handler, kind_of(handler), takes_context(handler))
