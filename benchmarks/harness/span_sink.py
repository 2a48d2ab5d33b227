"""Where spans go while lifecycles are measured: to a receiver that takes all of them and counts."""

from __future__ import annotations

import time

from benchmarks.harness.load import Load
from benchmarks.harness.process import PATIENCE


class SpanSink(Load):
    """A receiver of OTLP spans, a process of its own."""

    def __init__(self) -> None:
        super().__init__("span_sink")
        #: What tells a process to send its spans here: no metrics, of which the question says nothing.
        self.environment = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"http://127.0.0.1:{self.says()}"}

    def wait(self, tasks: int) -> float:
        """Wait until the spans of so many tasks have come; return when the last one did, as ``time.perf_counter()``.

        Raises:
            SystemExit: they never come, or too many do.
        """
        deadline = time.monotonic() + PATIENCE
        came = 0
        while True:
            self.tell("count")
            answer = self.says()
            came += answer["spans"]
            if came == tasks:
                return float(answer["last"])
            if came > tasks or time.monotonic() > deadline:
                raise SystemExit(f"{came:,} spans came of {tasks:,} tasks")
            time.sleep(0.05)
