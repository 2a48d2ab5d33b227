"""The first process of a container: it starts the real one, passes signals on to it and buries the dead.

A process that has lost its parent becomes a child of the first one, and stays behind when it ends until that one asks
for it. And the kernel keeps from the first process every signal that it has no handler for: SIGTERM too, as long as it
is still starting. No program expects either.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

#: What people and engines send. The rest ends the first process or is none of its business.
_PASSED_ON = frozenset(
    {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT}
)
#: The origin of a signal that the kernel has sent, such as that of Ctrl-C (SI_KERNEL in <asm-generic/siginfo.h>).
_OF_THE_KERNEL = 0x80
#: What is added to a signal's number where an exit code is to tell it.
_ENDED_BY_SIGNAL = 128


def is_first_process() -> bool:
    """Tell whether this process is the first of its container, or of its machine."""
    return os.getpid() == 1


def go_on_in_child() -> None:
    """Return in a child of this process. This one lives as long, and ends with the same exit code.

    Called before there are threads.
    """
    heard = _PASSED_ON | {signal.SIGCHLD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, heard)
    child = os.fork()
    if child:
        os._exit(_attend(child, heard))
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _attend(child: int, heard: frozenset[signal.Signals]) -> int:
    """Pass signals on and bury the dead until the child is among them; return the exit code that tells its own."""
    while True:
        told = signal.sigwaitinfo(heard)
        if told.si_signo != signal.SIGCHLD:
            # A terminal has sent its own to every process in it: a second Ctrl-C would mean something else.
            if told.si_code != _OF_THE_KERNEL:
                with suppress(ProcessLookupError):
                    os.kill(child, told.si_signo)
            continue
        if (code := _bury(child)) is not None:
            return code if code >= 0 else _ENDED_BY_SIGNAL - code


def _bury(child: int) -> int | None:
    """Ask for every process that has ended; return how the child did, None while it lives."""
    ended = None
    with suppress(ChildProcessError):  # none is left
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            if found[0] == child:
                ended = os.waitstatus_to_exitcode(found[1])
    return ended
