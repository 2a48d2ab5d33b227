"""How a handler is told to be what it is."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from outlast.tasks.handler import Entrypoint, Kind, kind_of, takes_context


def _call(payload: Any, context: Any) -> Any: ...
async def _async_call(payload: Any, ctx: Any) -> Any: ...


def _generator(payload: Any) -> Any:
    yield


async def _async_generator(payload: Any) -> Any:
    yield


class _Handler:
    def __call__(self, payload: Any, context: Any) -> Any: ...

    async def _method(self, payload: Any, context: Any) -> Any: ...


class _AsyncHandler:
    async def __call__(self, payload: Any) -> Any: ...


@pytest.mark.parametrize(
    ("handler", "kind", "context"),
    [
        (_call, Kind.CALL, True),
        (_async_call, Kind.ASYNC, False),
        (_generator, Kind.GENERATOR, False),
        (_async_generator, Kind.ASYNC_GENERATOR, False),
        (_Handler(), Kind.CALL, True),
        (_Handler()._method, Kind.ASYNC, True),
        (_AsyncHandler(), Kind.ASYNC, False),
        (functools.partial(_call, "bound"), Kind.CALL, False),
        (functools.partial(functools.partial(_async_call)), Kind.ASYNC, False),
        (dict, Kind.CALL, False),
    ],
)
def test_kind_and_context_of_a_handler(handler: Any, kind: Kind, context: bool) -> None:
    """Functions, methods, partials and objects are seen through; context is the second parameter, by name."""
    assert (kind, context) == (kind_of(handler), takes_context(handler))
    assert Entrypoint.of(handler) == Entrypoint(handler, kind, context)
