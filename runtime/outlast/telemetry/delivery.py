"""The way of tasks' spans to whoever takes them, and the word that they were taken (promise 8).

Loaded only when spans are exported: it imports the OpenTelemetry SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, set_value
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from outlast.telemetry.exporting import EveryExporter
from outlast.telemetry.handover import Handover
from outlast.telemetry.recorded_span import RecordedSpan

#: Spans, and roughly bytes of them, that are exported at a time: well below the 4 MiB that a receiver of gRPC takes,
#: and what the queue of a batch span processor has room for.
MAX_SPANS, MAX_BYTES = 256, 1024 * 1024
#: What a span weighs without its texts.
_SPAN_BYTES = 512
#: Milliseconds that a program's own processors have for what they were handed.
_FLUSH_MILLIS = 10_000


class Delivery:
    """Has spans made and taken on a thread of ours. Never blocks."""

    def __init__(self, handover: Handover, take: Callable[[Sequence[ReadableSpan]], bool]) -> None:
        """``take`` is called on the handover's thread; it says whether it took the spans, or raises."""
        self._handover = handover
        self._take = take

    def begin(self, spans: Callable[[], Iterable[ReadableSpan]]) -> Future[bool]:
        """Have what ``spans`` makes, on the thread, taken; return whether all of it was, to come."""
        taken: Future[bool] = Future()

        def deliver() -> None:
            try:
                all_taken = all(self._take(part) for part in in_parts(spans()))
            except BaseException as error:  # of an exporter or a span processor, which may be the program's own
                taken.set_exception(error)
            else:
                taken.set_result(all_taken)

        if not self._handover.put(deliver):
            taken.set_result(False)
        return taken

    def close(self, deadline_seconds: float) -> None:
        """End the thread once it has done what it was asked to; give up after the deadline. Blocks."""
        self._handover.close(deadline_seconds)


class ExporterDelivery(Delivery):
    """To the exporters that the environment asks for; made with the first span, for many processes have none."""

    def __init__(self) -> None:
        refused = "Spans of tasks could not be handed over"
        super().__init__(Handover("outlast-task-spans", dropped=refused, failed=refused), self._export)
        self._exporter: EveryExporter | None = None

    def close(self, deadline_seconds: float) -> None:
        """Let the exporters go too."""
        self._handover.put(self._shut_down)
        super().close(deadline_seconds)

    def _export(self, spans: Sequence[ReadableSpan]) -> bool:
        if self._exporter is None:
            # What instruments the exporter's own calls must not make spans of them.
            attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
            self._exporter = EveryExporter()
        return self._exporter.export(spans) is SpanExportResult.SUCCESS

    def _shut_down(self) -> None:
        if self._exporter is not None:
            self._exporter.shutdown()


class ProcessorDelivery(Delivery):
    """To the span processors of a provider of the program's own: they have taken what they say to have flushed."""

    def __init__(self, provider: TracerProvider, handover: Handover) -> None:
        super().__init__(handover, self._process)
        self._provider = provider

    def _process(self, spans: Sequence[ReadableSpan]) -> bool:
        for span in spans:
            # The SDK has no public way in for a span that was not begun in this process.
            self._provider._active_span_processor.on_end(span)
        return self._provider.force_flush(_FLUSH_MILLIS)


def in_parts(spans: Iterable[ReadableSpan]) -> Iterator[Sequence[ReadableSpan]]:
    """Yield the spans in parts, none of them too large for one message."""
    part: list[ReadableSpan] = []
    size = 0
    for span in spans:
        weight = _weight(span)
        if part and (len(part) == MAX_SPANS or size + weight > MAX_BYTES):
            yield part
            part, size = [], 0
        part.append(span)
        size += weight
    if part:
        yield part


def _weight(span: ReadableSpan) -> int:
    if isinstance(span, RecordedSpan):
        return _SPAN_BYTES + 4 * span.text_length
    texts = [span.name, span.status.description or "", *(str(value) for value in (span.attributes or {}).values())]
    # A character has four bytes at the most.
    return _SPAN_BYTES + 4 * sum(map(len, texts))
