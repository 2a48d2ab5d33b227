"""Pairs of processes, each started once for all tests: a program is asked hundreds of times."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .pair import Pair


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Pair]]:
    """Return the pair that serves a program; the same one each time."""
    pairs: dict[tuple[str, bool], Pair] = {}

    def pair(program: str, *, ours_on_uvicorn: bool = False) -> Pair:
        key = program, ours_on_uvicorn
        if key not in pairs:
            folder = tmp_path_factory.mktemp(program.removesuffix(".py"))
            pairs[key] = Pair(program, folder, ours_on_uvicorn=ours_on_uvicorn)
        return pairs[key]

    try:
        yield pair
    finally:
        for started in pairs.values():
            started.close()


@pytest.fixture(scope="session", params=[False, True], ids=["outlast", "uvicorn"])
def serve_both_ways(request: pytest.FixtureRequest, serve: Callable[..., Pair]) -> Callable[[str], Pair]:
    """Return the same, our side served by ``outlast run`` and by ``uvicorn``: adapters of one request core."""
    return lambda program: serve(program, ours_on_uvicorn=request.param)
