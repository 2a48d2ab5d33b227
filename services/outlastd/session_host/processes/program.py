"""A program, started as an order says: its own session and process group, user, limits, folder and environment."""

from __future__ import annotations

import os
import resource
import signal
from typing import NoReturn

from outlastd.session_host.processes.descendants import die_with_parent, gain_nothing
from outlastd.session_host.processes.message import Message

_LIMITS = {"memory": resource.RLIMIT_DATA, "open_files": resource.RLIMIT_NOFILE, "processes": resource.RLIMIT_NPROC}


class NotStarted(Exception):
    """A program could not be started: what was being done, and the error number of the system."""

    def __init__(self, step: str, number: int) -> None:
        self.step = step
        self.number = number
        super().__init__(f"{step}: {os.strerror(number)}")


def start(order: Message, argv: list[str], stdout: int = 1, stderr: int = 2) -> int:
    """Start ``argv`` under an order, with these descriptors as its outputs and nothing as its input; return its id.

    Returns once the program runs. Raises NotStarted.
    """
    warden = os.getpid()
    read_end, write_end = os.pipe()
    try:
        pid = os.fork()
    except OSError as error:
        os.close(read_end)
        os.close(write_end)
        raise NotStarted("fork", error.errno or 0) from None
    if pid == 0:
        _become(order, argv, (stdout, stderr), warden, write_end)
    os.close(write_end)
    with open(read_end, "rb") as file:
        said = file.read().decode()  # nothing, when the program runs: running it has closed the other end
    if said:
        os.waitpid(pid, 0)
        step, _, number = said.partition(" ")
        raise NotStarted(step, int(number))
    return pid


def _become(order: Message, argv: list[str], outputs: tuple[int, int], warden: int, report: int) -> NoReturn:
    step = "session"
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        # What is ignored here would stay ignored there.
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(outputs[0], 1)
        os.dup2(outputs[1], 2)
        step = "limits"
        for name, limit in order["limits"].items():
            _limit(_LIMITS[name], limit)
        step = "user"
        if order["uid"] is not None:
            os.setgroups([])
            os.setgid(order["gid"])
            os.setuid(order["uid"])
        gain_nothing()
        die_with_parent()
        if os.getppid() != warden:  # it ended before the line above
            os._exit(1)
        os.umask(0o022)  # as programs expect it; what is private is in folders that nobody else may enter
        step = "directory"
        os.chdir(order["directory"])
        step = "program"
        os.execvpe(argv[0], argv, order["environment"])
    except OSError as error:
        os.write(report, f"{step} {error.errno}".encode())
    except ValueError:  # a NUL somewhere
        os.write(report, f"{step} 22".encode())
    finally:
        os._exit(127)


def _limit(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    # Whoever is not root may take from a limit, never add to it.
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (limit, limit))
