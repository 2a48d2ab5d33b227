"""The figures of watches: how many there are here, and how much they had missed before they began."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Meter, UpDownCounter

Of = Literal["task", "session"]


class WatchMetrics:
    """Counts the watches of this process; without a meter, nothing."""

    def __init__(self, meter: Meter | None) -> None:
        self._subscribers: UpDownCounter | None = None
        self._replayed: Counter | None = None
        if meter is not None:
            self._subscribers = meter.create_up_down_counter(
                "outlast.watch.subscribers", "{watch}", "Watches that are open in this process"
            )
            self._replayed = meter.create_counter(
                "outlast.watch.replayed", "{event}", "Events that watches were given from before they began"
            )

    @contextmanager
    def watch(self, of: Of) -> Iterator[Watch]:
        """Count a watch for as long as it is open."""
        attributes: dict[str, str] = {"of": of}
        if self._subscribers is not None:
            self._subscribers.add(1, attributes)
        try:
            yield Watch(self._replayed, attributes)
        finally:
            if self._subscribers is not None:
                self._subscribers.add(-1, attributes)


class Watch:
    """One watch that is counted."""

    def __init__(self, replayed: Counter | None, attributes: dict[str, str]) -> None:
        self._replayed = replayed
        self._attributes = attributes

    def read(self, events: int, *, all_of_it: bool) -> None:
        """Take notice of events that were read; ``all_of_it`` is whether there were no more by then."""
        if self._replayed is not None and events:
            self._replayed.add(events, self._attributes)
        if all_of_it:
            self._replayed = None  # what comes from now on is new
