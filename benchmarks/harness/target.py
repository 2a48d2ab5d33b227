"""What a figure is to reach: in itself, or beside a peer in the same run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.harness.rounds import Series


@dataclass(frozen=True)
class Target:
    """A bound: ``Target(">=", 5, "bedrock-agentcore")`` is at least five times it, ``Target("<", 50)`` is under 50."""

    sign: Literal[">=", "<=", "<"]
    bound: float
    #: The peer that the bound is a multiple of; empty for a bound in the row's own unit.
    peer: str = ""

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}" + (f" x {self.peer}" if self.peer else "")

    def met(self, ours: Series, peers: Mapping[str, Series]) -> bool:
        """Tell whether the medians reach it."""
        value = ours.ratio_to(peers[self.peer]) if self.peer else ours.median
        return {">=": value >= self.bound, "<=": value <= self.bound, "<": value < self.bound}[self.sign]
