"""What metrics cost while they are off."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import sys
import outlastd.launch.manager, outlastd.stores.sqlite, outlastd.task_manager.server
from outlast.telemetry.metrics import metering
from outlast.telemetry.metrics.task_metrics import count_lost_leases
assert not metering.set_up("agent")
assert metering.active() is None
count_lost_leases(1)
assert metering.shutdown(0)
print(*[name for name in sys.modules if name.startswith(("opentelemetry", "prometheus_client"))])
"""


def test_with_nothing_set_no_sdk_is_loaded() -> None:
    """Neither the task manager nor a store loads what would count."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == ""
