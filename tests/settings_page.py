"""The page of the settings, as tests read it."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "settings.md").read_text("utf-8")
#: OpenTelemetry's variables that it has.
OPENTELEMETRY = frozenset(
    name.replace("{SIGNAL}", signal)
    for name in re.findall(r"`(OTEL_[A-Z_{}]+)`", PAGE)
    for signal in ("TRACES", "METRICS")
)
