"""A program served by the original and by outlast, and the proof that nobody can tell which is which."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

from .differences import answer_without, endings, lines_without
from .exchange import REQUEST_ID, Answer, Asked
from .peer import Original, Ours, OursOnUvicorn, Peer, Seen

PROGRAMS = Path(__file__).parent / "programs"
_numbers = itertools.count(1)


class Pair:
    """Two processes with the same program. Both start at once; requests go to one after the other."""

    def __init__(self, program: str, folder: Path, *, ours_on_uvicorn: bool = False) -> None:
        original, ours = folder / "original", folder / "ours"
        original.mkdir()
        ours.mkdir()
        path = PROGRAMS / program
        self._original = Original(path, original)
        self._ours = (OursOnUvicorn if ours_on_uvicorn else Ours)(path, ours)
        self._peers: tuple[Peer, Peer] | None = None

    @property
    def original(self) -> Peer:
        """The side with the real package, once it listens."""
        return self.peers[0]

    @property
    def ours(self) -> Peer:
        """The side with outlast, once it listens."""
        return self.peers[1]

    @property
    def peers(self) -> tuple[Peer, Peer]:
        """Both sides, the original first."""
        if self._peers is None:
            self._peers = Peer(self._original), Peer(self._ours)
        return self._peers

    def see(self, asked: Asked) -> tuple[Seen, Seen]:
        """Send a request to both; return what the original and what ours makes of it.

        The request gets an id of its own, where it has none.
        """
        if not asked.names(REQUEST_ID):
            asked = replace(asked, headers=(*asked.headers, (REQUEST_ID, f"request-{next(_numbers)}")))
        return self.original.see(asked), self.ours.see(asked)

    def same(self, asked: Asked) -> Answer:
        """Prove that both answer a request alike and log the same; return the answer."""
        original, ours = self.see(asked)

        _check(asked, answer_without(original.answer), answer_without(ours.answer))
        _check(asked, lines_without(original.lines), lines_without(ours.lines))
        return original.answer

    def same_endings(self) -> list[tuple[str, str]]:
        """Prove that both have logged the same tasks as ended; return level and message of each, the oldest first."""
        expected = endings(self._original.lines)
        if expected:
            self._ours.wait_line(lambda _: len(endings(self._ours.lines)) >= len(expected), f"the end of {expected}")

        assert sorted(endings(self._ours.lines)) == sorted(expected)
        return expected

    def close(self) -> None:
        """End both."""
        self._original.kill()
        self._ours.kill()


def _check(asked: Asked, original: object, ours: object) -> None:
    assert original == ours, f"asked: {asked}\n  original: {original}\n  ours:     {ours}"
