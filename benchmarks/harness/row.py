"""One line of the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.harness.rounds import Series
from benchmarks.harness.target import Target


@dataclass(frozen=True)
class Row:
    """What was asked, what came of it, and what was to be reached."""

    question: str
    unit: str
    ours: Series
    peers: Mapping[str, Series] = field(default_factory=dict)
    #: All of them are to be met; none where the figure only stands beside the others.
    targets: Sequence[Target] = ()
    #: What a reader has to know, such as that a peer is less durable.
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the first target's peer ours is, or else the first peer; None without one."""
        named = [target.peer for target in self.targets if target.peer] or list(self.peers)
        return self.ratio_to(named[0]) if named else None

    def ratio_to(self, peer: str) -> float | None:
        """Return how many times a peer ours is; None where a round of the peer's was nought."""
        return self.ours.ratio_to(self.peers[peer]) if all(self.peers[peer].values) else None

    @property
    def met(self) -> bool | None:
        """Whether every target is met; None where there is none."""
        return all(target.met(self.ours, self.peers) for target in self.targets) if self.targets else None

    def as_json(self) -> dict[str, object]:
        """Return the row as it is recorded; figures are medians of the rounds."""
        return {
            "question": self.question,
            "ours": _rounded(self.ours.median),
            "unit": self.unit,
            "peers": {name: _rounded(series.median) for name, series in self.peers.items()},
            "ratio": None if self.ratio is None else _rounded(self.ratio),
            "target": ", ".join(map(str, self.targets)),
            "met": self.met,
        }


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
