"""What `import outlast` may cost."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys, time
before = set(sys.modules)
import outlast.tasks.async_task, outlast.tasks.manual, outlast.tasks.current
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(loaded & {"grpc", "google", "aiohttp", "cattrs", "structlog", "opentelemetry", "uvloop", "orjson"}))
"""


def test_tasks_load_nothing_but_the_standard_library() -> None:
    """An agent's author pays for no server, no tracing and no validation by importing outlast."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
