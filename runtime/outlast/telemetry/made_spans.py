"""The spans of many tasks on their way to an exporter: one task that none can be made of holds up no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from outlast.core.task import Task
from outlast.telemetry.log import get_logger
from outlast.telemetry.task_span import task_resource

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

    from outlast.telemetry.tracing import Tracing

#: Makes a task's spans, under a resource.
MakeSpans: TypeAlias = "Callable[[Resource], Iterable[ReadableSpan]]"


def spans_of(made: Iterable[tuple[Task, MakeSpans]], active: Tracing) -> Iterator[ReadableSpan]:
    """Yield the spans that are made of tasks, all or none of each one's. On the exporter's thread."""
    # By agent, for that is all that it depends on: to ask the environment for each task took longer than its span.
    resources: dict[str, Resource] = {}
    for task, make_spans in made:
        resource = resources.get(task.agent)
        if resource is None:
            resource = resources[task.agent] = task_resource(active.resource, active.service_of(task))
        try:
            yield from list(make_spans(resource))
        except Exception as error:  # it would fail for ever, and hold up all others
            get_logger().error("a task's spans could not be made", taskId=str(task.task_id), error=error)
