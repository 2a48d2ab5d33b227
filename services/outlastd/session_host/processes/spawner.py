"""The spawner: a small process with one thread, from which the wardens of sessions are forked.

The host itself has threads and speaks gRPC, and must not fork. It runs this file with ``python -I -S``, its standard
input being a socket on which a byte comes for every session, with the socket of its warden. The spawner ends when the
host has gone and its wardens have done their work. It adopts what a warden leaves that was killed, and ends it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys

if __name__ == "__main__":  # nothing is on the path but the standard library, and that stays first
    sys.path.append(os.path.abspath(__file__).rpartition("/outlastd/")[0])

from outlastd.session_host.processes import descendants
from outlastd.session_host.processes.message import CHUNK, encode
from outlastd.session_host.processes.warden import ignore_signals, keep_session, notice_children, work_and_exit

#: Milliseconds after which orphans that were killed are looked for again.
_PAUSE = 50


def main() -> None:
    """Fork wardens until the host has gone and none is left."""
    host = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    ignore_signals()
    descendants.adopt()
    ended = notice_children()
    wardens: set[int] = set()
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(host, select.POLLIN)
    host_lives = True
    while True:
        quiet = _reap(wardens)
        if quiet and not host_lives and not wardens:
            return
        for descriptor, _ in poll.poll(None if quiet else _PAUSE):
            if descriptor == ended:
                os.read(ended, CHUNK)
                continue
            # One byte at a time: the descriptors of two messages never come together.
            data, received, _, _ = socket.recv_fds(host, 1, 1)
            for control in received:
                _spawn(control, host, wardens)
            if not data:
                poll.unregister(host)
                host_lives = False


def _spawn(control: int, host: socket.socket, wardens: set[int]) -> None:
    os.set_inheritable(control, False)
    with socket.socket(fileno=control) as end:
        try:
            pid = os.fork()
        except OSError as error:
            end.sendall(encode({"failed": {"step": "fork", "errno": error.errno}}))
            return
        if pid == 0:
            host.close()
            work_and_exit(lambda: keep_session(end))
        wardens.add(pid)


def _reap(wardens: set[int]) -> bool:
    """Take note of wardens that have ended; return whether there is no other process below this one."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid == 0:
            break
        wardens.discard(pid)
    orphans = [pid for pid in descendants.children(os.getpid()) if pid not in wardens]
    for pid in orphans:
        descendants.send(pid, signal.SIGKILL)
        descendants.kill_below(pid)
    return not orphans


if __name__ == "__main__":
    main()
