"""Attributes of metrics: their names, and a bound for text that callers choose; each value is a series for ever."""

from __future__ import annotations

#: The names, the same in all instruments: never an id.
AGENT, TASK_TYPE, STATE, OUTCOME, REASON, ERROR_TYPE = "agent", "task_type", "state", "outcome", "reason", "error.type"
#: Distinct values of one attribute in a process, and characters of one.
MAX_VALUES, MAX_LENGTH = 100, 128
#: Stands for all values beyond the bound.
OTHER = "other"


class Bounded:
    """Lets the first values of one attribute through, and ``other`` for those that come too late. From any thread."""

    def __init__(self, limit: int = MAX_VALUES) -> None:
        self._limit = limit
        self._values: dict[str, str] = {}

    def __call__(self, value: str) -> str:
        """Return the value as an attribute."""
        known = self._values.get(value)
        if known is not None:
            return known
        if len(self._values) >= self._limit:
            return OTHER
        self._values[value] = shown = value[:MAX_LENGTH]
        return shown


#: One for each attribute with such text, for all instruments of the process.
agent, task_type, error_type = Bounded(), Bounded(), Bounded()
