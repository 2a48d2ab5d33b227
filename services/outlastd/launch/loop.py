"""The services' loop: the front door, the worker stream and the task manager run on it, and no user code, ever."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import outlast.telemetry.output  # noqa: F401 (structlog: loaded now, not with the first line on the loop)
from outlast.core.errors import StartRefused

T = TypeVar("T")


def run_services(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run ``main()`` on a new loop (uvloop's where there is one); return what it returns.

    What refuses to start ends the program with one line on stderr and exit code 1.
    """
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(main())
    except StartRefused as refused:
        sys.exit(f"outlast: {refused}")
    except KeyboardInterrupt:  # before the program listens to signals itself
        sys.exit(130)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the services' loop."""
    try:
        import uvloop
    except ImportError:  # no wheel for this platform: the standard loop does as well, only slower
        return asyncio.new_event_loop
    return uvloop.new_event_loop
