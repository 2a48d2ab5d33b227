"""The matrix: what happens, to whom, and in the middle of what; and seeded orders of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from .cluster import LEASE


class Kind(StrEnum):
    """What happens."""

    KILL = "SIGKILL"
    PAUSE = "SIGSTOP then SIGCONT"
    STOP = "SIGTERM"
    CUT = "connection cut"


class Target(StrEnum):
    """To whom."""

    AGENT = "agent"
    MANAGER = "task manager"
    REPLICA = "one replica of two"
    DATABASE = "PostgreSQL"


class Moment(StrEnum):
    """In the middle of what."""

    BEFORE_COMMIT = "before start is committed"
    BEFORE_REPLY = "after commit before the reply"
    WORKING = "while working"
    COMPLETING = "while completing"


@dataclass(frozen=True)
class Fault:
    """One fault, settled but for the time."""

    kind: Kind
    target: Target
    moment: Moment
    #: Which of two it happens to, where that is free to choose.
    which: int
    #: How long it lasts, where that is free to choose: shorter than a lease, or longer.
    seconds: float
    #: Of a cut: whether everything is swallowed in silence, rather than reset.
    silent: bool
    #: While completing: whether the ends are held before they are committed, rather than the replies.
    ends_held: bool

    def __str__(self) -> str:
        how = f"{self.seconds:.2f} s{', in silence' * self.silent}"
        return f"{self.kind} of {self.target} {self.which} {self.moment} ({how})"


#: Where the agents embed their task managers there is nobody else to strike.
EMBEDDED = (Target.AGENT,)


def covering(seed: int) -> tuple[Sequence[Fault], Sequence[Fault]]:
    """Return 16 faults for a replicated cluster and 8 for an embedded one.

    Of the 16 every two of kind, target and moment meet (a Latin square); of the 8 every kind meets two moments.
    """
    choice = random.Random(seed)
    turn = choice.randrange(4)
    square = [
        (kind, target, list(Moment)[(row + column + turn) % 4])
        for row, kind in enumerate(Kind)
        for column, target in enumerate(Target)
    ]
    embedded = [
        (kind, Target.AGENT, list(Moment)[(row + 2 * half + turn) % 4])
        for row, kind in enumerate(Kind)
        for half in range(2)
    ]
    return _settled(square, choice), _settled(embedded, choice)


def whole(seed: int, targets: Sequence[Target] = tuple(Target)) -> Sequence[Fault]:
    """Return every combination once: 64, or 16 of one target."""
    cells = [(kind, target, moment) for kind in Kind for target in targets for moment in Moment]
    return _settled(cells, random.Random(seed))


def _settled(cells: list[tuple[Kind, Target, Moment]], choice: random.Random) -> Sequence[Fault]:
    choice.shuffle(cells)
    return [
        Fault(
            *cell,
            which=choice.randrange(2),
            seconds=choice.choice((0.5, 1.5, 2.5)) * LEASE,
            silent=choice.random() < 0.5,
            ends_held=choice.random() < 0.5,
        )
        for cell in cells
    ]
