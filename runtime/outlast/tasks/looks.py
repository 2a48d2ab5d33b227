"""What functions are recognised by, and how something else passes for one."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function inside of partials, static methods and class methods."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, staticmethod | classmethod):
            function = function.__func__
        else:
            return function


def name_of(function: Callable[..., Any]) -> str:
    """Return a function's name, or that of a callable object's class."""
    plain = _plain(function)
    return str(getattr(plain, "__name__", type(plain).__name__))


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Whether a call gives a coroutine."""
    plain = _plain(function)
    return inspect.iscoroutinefunction(plain) or inspect.iscoroutinefunction(getattr(plain, "__call__", None))  # noqa: B004


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a callable, whose annotations may name what is there for type checkers only.

    Raises:
        ValueError: a builtin that has none.
    """
    if sys.version_info >= (3, 14):  # there an annotation is computed when somebody asks, and may fail
        from annotationlib import Format

        return inspect.signature(function, annotation_format=Format.FORWARDREF)
    return inspect.signature(function)


def refuse_what_cannot_be_a_task(function: Callable[..., Any]) -> None:
    """Raise TypeError for what is no function, or gives several values."""
    if isinstance(function, type) or not (callable(function) or isinstance(function, classmethod)):
        raise TypeError(f"@async_task is for functions, not {function!r}")
    plain = _plain(function)
    if inspect.isasyncgenfunction(plain) or inspect.isgeneratorfunction(plain):
        raise TypeError(f"@async_task is not for generators, which {name_of(plain)} is: return a value, or emit chunks")


def take_looks(task: Callable[..., Any], function: Callable[..., Any]) -> None:
    """Give the task what a function is recognised by; of a partial, what its function has."""
    functools.update_wrapper(task, function)
    plain, looks = _plain(function), vars(task)
    looks.setdefault("__name__", name_of(function))
    # On 3.14 update_wrapper copies how to compute annotations, and nothing where they have been computed already.
    if getattr(plain, "__annotate__", None) is None:
        looks.setdefault("__annotations__", getattr(plain, "__annotations__", {}))


async def _a_coroutine_function() -> None:
    """Lend its code flags to callables that have no code of their own."""


def mark_as_coroutine_function(task: Callable[..., Any], function: Callable[..., Any]) -> None:
    """Have inspect and asyncio take the task for the coroutine function that it stands for."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(task)
        return
    # On 3.11 inspect asks a callable that looks like a function for the flags of its code.
    plain = _plain(function)
    source = plain if hasattr(plain, "__code__") else _a_coroutine_function
    for attribute in ("__code__", "__defaults__", "__kwdefaults__"):
        setattr(task, attribute, getattr(source, attribute))
