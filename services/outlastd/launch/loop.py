"""The services' loop: the front door, the worker stream and the task manager run on it, and no user code, ever."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import outlast.telemetry.output  # noqa: F401 (structlog: loaded now, not with the first line on the loop)
from outlast.core.errors import StartRefused
from outlast.loading import something_frozen

T = TypeVar("T")


def run_services(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run ``main()`` on a new loop (uvloop's where there is one); return what it returns.

    What refuses to start ends the program with one line on stderr and exit code 1.
    """
    frozen_by_program = something_frozen()
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(main())
    except StartRefused as refused:
        sys.exit(f"outlast: {refused}")
    except KeyboardInterrupt:  # before the program listens to signals itself
        sys.exit(130)
    finally:
        if not frozen_by_program:
            gc.unfreeze()


def started() -> None:
    """Have the garbage collector leave alone what the start has loaded, until ``run_services`` returns.

    It is some 80,000 objects that live as long as the process, and looking through them again and again took 20 us of
    each task and, now and then, 50 ms at a time.
    """
    gc.freeze()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the services' loop."""
    try:
        import uvloop
    except ImportError:  # no wheel for this platform: the standard loop does as well, only slower
        return asyncio.new_event_loop
    return uvloop.new_event_loop
