"""The program's own handlers of SIGTERM and SIGINT, which the services take the place of while they run."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import Any

#: The signals that stop an agent.
STOPPING = (signal.SIGTERM, signal.SIGINT)


class OwnHandlers:
    """What the program has set, from here until ``restore``; nothing on any thread but the main one."""

    def __init__(self) -> None:
        global _kept
        self._handlers: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.getsignal(number) for number in STOPPING}
            _kept = self

    def restore(self) -> None:
        """Put them back."""
        global _kept
        for number, handler in self._handlers.items():
            if handler is not None:  # one that was not set from Python
                signal.signal(number, handler)
        if _kept is self:
            _kept = None

    def call(self, number: int) -> None:
        """Give the program the signal that has stopped the agent, where it has a handler of its own for it."""
        handler = self._handlers.get(number)
        if callable(handler) and handler is not signal.default_int_handler:
            with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C has done what it is for
                signal.raise_signal(number)


_kept: OwnHandlers | None = None
#: By thread: which signals it had blocked before it forked.
_forking = threading.local()


# A forked child shares the pipe that wakes the loop: a signal to the child would stop the parent.


def _before_fork() -> None:
    if _kept is not None:
        _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)


def _after_fork() -> None:
    if "mask" in _forking.__dict__:
        signal.pthread_sigmask(signal.SIG_SETMASK, _forking.__dict__.pop("mask"))


def _after_fork_in_child() -> None:
    if _kept is not None:
        signal.set_wakeup_fd(-1)
        _kept.restore()
    _after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
