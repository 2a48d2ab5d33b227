"""What was left for handlers along with a request, by middleware and by the program's lifespan."""

from __future__ import annotations

from typing import Any


class State:
    """Shows a dictionary's values as attributes, which can be set too; as Starlette's State."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__ = values
