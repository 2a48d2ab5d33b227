"""A span that is a record still: whoever wants to know more than that reads it as any other span.

Loaded only when spans are exported: it imports the OpenTelemetry SDK.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from outlast.core.task import Task
from outlast.telemetry.propagation import Traceparent


class RecordedSpan(ReadableSpan):
    """The span of a task of one attempt: written out when somebody looks at it, which our own exporter does not.

    To make a span and to encode it took a tenth of all that a task costs its task manager.
    """

    def __init__(
        self, task: Task, trace: Traceparent, resource: Resource, write_out: Callable[[], ReadableSpan]
    ) -> None:
        # Not the SDK's own, which is for what is written out.
        self.task = task
        self.trace = trace
        self._resource_of_task = resource
        self._write_out = write_out

    def __getattr__(self, name: str) -> Any:
        """Write the span out: called for what the SDK's own ``__init__`` would have set, and has not yet."""
        if name.startswith("__") or "_write_out" not in self.__dict__:
            raise AttributeError(name)
        # What somebody has set meanwhile stays: a processor of the program's own may, before it looks at anything.
        for attribute, value in self._write_out().__dict__.items():
            self.__dict__.setdefault(attribute, value)
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(name) from None

    def __deepcopy__(self, memo: dict[int, Any]) -> ReadableSpan:
        """Return a span that is written out: a record cannot be copied, and a processor may want a copy to change."""
        span = self._write_out()
        span.__dict__.update((name, value) for name, value in self.__dict__.items() if name in span.__dict__)
        return deepcopy(span, memo)

    @property
    def resource(self) -> Resource:
        """What the span is exported under."""
        return self._resource_of_task

    @property
    def text_length(self) -> int:
        """Characters of its texts, roughly."""
        task = self.task
        return len(task.task_type) * 2 + len(task.agent) + len(task.session_id) + len(task.request_id) + 64
