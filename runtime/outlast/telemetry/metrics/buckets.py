"""The bounds of histograms' buckets, in seconds."""

from __future__ import annotations

#: What tasks take: from the blink of one that does nothing to the eight hours that a session may live.
TASK_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 150, 300, 600, 1_800, 3_600, 7_200, 14_400, 28_800)
#: What calls and transactions take.
CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
