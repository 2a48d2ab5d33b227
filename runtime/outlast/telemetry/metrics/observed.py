"""Figures that are looked up when somebody collects them, and not counted as they change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation

#: Called on the thread that collects, whichever that is: it reads what is safe to read there, and never waits.
Read = Callable[[], "Iterable[Observation]"]


class Observed:
    """The observed instruments of one meter, each with everything in the process that has a figure for it.

    OpenTelemetry makes an instrument once and never forgets who is to be asked; here what has ended is not asked again.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        #: Lists that are replaced and never changed: somebody may be going through one.
        self._reads: dict[str, list[Read]] = {}
        #: Held to replace one: apps that live in one process begin and end on threads of their own.
        self._lock = threading.Lock()

    def gauge(self, name: str, read: Read, *, unit: str, description: str) -> Callable[[], None]:
        """Have ``read`` asked for the values of a gauge; what is returned ends that."""
        return self._add(name, read, self._meter.create_observable_gauge, unit, description)

    def sum(self, name: str, read: Read, *, unit: str, description: str) -> Callable[[], None]:
        """The same for a figure that goes up and down, and that makes sense when it is added up over processes."""
        return self._add(name, read, self._meter.create_observable_up_down_counter, unit, description)

    def _add(
        self, name: str, read: Read, create: Callable[..., object], unit: str, description: str
    ) -> Callable[[], None]:
        with self._lock:
            known = self._reads.get(name)
            self._reads[name] = [*(known or ()), read]
            if known is None:
                create(name, callbacks=[partial(self._ask, name)], unit=unit, description=description)

        def end() -> None:
            with self._lock:
                self._reads[name] = [other for other in self._reads[name] if other is not read]

        return end

    def _ask(self, name: str, _options: CallbackOptions) -> Iterable[Observation]:
        for read in self._reads[name]:
            yield from read()


def end_all(ends: Iterable[Callable[[], None]]) -> None:
    """Have no figure of a few asked for any more."""
    for end in ends:
        end()
