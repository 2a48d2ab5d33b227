"""The warden of a session: the one process that starts it, sees it end, and leaves only when nothing of it is left.

It is a fork of the spawner, and its only ties are its children and a socket to the host. A command that runs beside the
agent has a warden of its own, below the session's, so that all that the command started can be ended with it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from outlastd.file_lock import try_lock, unlock
from outlastd.session_host.processes import descendants
from outlastd.session_host.processes.message import CHUNK, MAX_DESCRIPTORS, Message, Messages, encode
from outlastd.session_host.processes.program import NotStarted, start

#: Seconds that the agent has after SIGTERM when the host has gone.
HOST_LOST_GRACE = 2.0
#: Seconds that what the agent leaves behind has after SIGTERM.
REST_GRACE = 1.0
#: Seconds that the end of an earlier run is waited for.
LOCK_PATIENCE = 30.0

_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """Read of a socket, with the descriptors that came along; no bytes when the other end is closed."""
    try:
        data, received, _, _ = socket.recv_fds(control, CHUNK, MAX_DESCRIPTORS)
    except ConnectionError:
        return b"", []
    for descriptor in received:
        os.set_inheritable(descriptor, False)
    return data, received


def ignore_signals() -> None:
    """Ignore what ends the host or the agents: a warden ends when its work is done, and not before."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)


def notice_children() -> int:
    """Return a descriptor that can be read when a child has ended."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return read_end


def work_and_exit(work: Callable[[], None]) -> NoReturn:
    """Do the work of a process that was forked, and end it."""
    try:
        work()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def keep_session(control: socket.socket) -> None:
    """Be the warden of the session whose order comes on a socket; return when nothing of it is left."""
    os.setsid()
    messages = Messages()
    arrived: list[Message] = []
    while not arrived:
        data, _ = receive(control)
        if not data:
            return
        arrived = messages.feed(data)
    order = arrived.pop(0)["order"]
    lock = _wait_for_lock(order["lock"], control)
    if lock is None:
        return
    warden = Warden(control, order, messages)
    try:
        if warden.start(order["argv"]):
            warden.keep(arrived)
            if order["uid"] is not None:  # the next one with this number is another session
                descendants.kill_user(order["uid"])
    finally:
        unlock(order["lock"], lock)
    warden.say({"gone": True})


def _wait_for_lock(path: str, control: socket.socket) -> int | None:
    until = time.monotonic() + LOCK_PATIENCE
    host = select.poll()
    host.register(control, select.POLLIN)
    while (lock := try_lock(path)) is None:
        if time.monotonic() > until:
            control.sendall(encode({"failed": {"step": "lock", "errno": 0}}))
            return None
        if host.poll(20):  # the host has gone, or wants the session no more
            return None
    return lock


class Warden:
    """What is known of a started program and of everything below it."""

    def __init__(self, control: socket.socket, order: Message, messages: Messages, *, is_command: bool = False) -> None:
        self._control: socket.socket | None = control
        self._order = order
        self._messages = messages
        self._is_command = is_command
        descendants.adopt()
        self._ended = notice_children()
        self._child = 0
        self._child_ended = False
        #: The wardens of commands.
        self._commands: set[int] = set()
        #: Descriptors that have come and belong to a message.
        self._received: list[int] = []
        #: When all that is left is killed, and how long to wait before doing so again.
        self._kill_at = float("inf")
        self._pause = 0.01

    def start(self, argv: list[str], stdout: int = 1, stderr: int = 2) -> bool:
        """Start the program and tell the host; return whether it runs."""
        try:
            self._child = start(self._order, argv, stdout, stderr)
        except NotStarted as error:
            self.say({"failed": {"step": error.step, "errno": error.number}})
            return False
        self.say({"started": self._child})
        return True

    def say(self, message: Message) -> None:
        """Tell the host, if there is one still."""
        try:
            if self._control is not None:
                self._control.sendall(encode(message))
        except OSError:
            pass

    def keep(self, arrived: list[Message]) -> None:
        """Return when nothing is left below this process; a command's warden also when nobody asks for it any more."""
        for message in arrived:
            self._take(message)
        poll = select.poll()
        poll.register(self._ended, select.POLLIN)
        if self._control is not None:
            poll.register(self._control, select.POLLIN)
        while not self._reap():
            left = self._kill_at - time.monotonic()
            if left <= 0:
                self._kill()
                continue
            for descriptor, _ in poll.poll(None if left == float("inf") else left * 1000 + 1):
                if descriptor == self._ended:
                    os.read(self._ended, CHUNK)
                elif not self._listen():
                    poll.unregister(descriptor)
                    if self._is_command:  # what it leaves belongs to the session from now on
                        return
                    self._stop(HOST_LOST_GRACE)

    # -- the host ---------------------------------------------------------------------------------------

    def _listen(self) -> bool:
        """Do what the host says; return whether it is there still."""
        assert self._control is not None
        data, received = receive(self._control)
        self._received += received
        if not data:
            self._control.close()
            self._control = None
            return False
        for message in self._messages.feed(data):
            self._take(message)
        return True

    def _take(self, message: Message) -> None:
        if "stop" in message:
            self._stop(float(message["stop"]))
        elif "execute" in message:
            received, self._received = self._received[:MAX_DESCRIPTORS], self._received[MAX_DESCRIPTORS:]
            if len(received) == MAX_DESCRIPTORS:
                self._execute(message["execute"], socket.socket(fileno=received[0]), *received[1:])
            else:  # too many are open here; the host sees its ends closed
                for descriptor in received:
                    os.close(descriptor)

    def _execute(self, argv: list[str], control: socket.socket, stdout: int, stderr: int) -> None:
        warden = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            control.sendall(encode({"failed": {"step": "fork", "errno": error.errno}}))
        else:
            if pid == 0:
                work_and_exit(lambda: self._keep_command(argv, control, stdout, stderr, warden))
            self._commands.add(pid)
        control.close()
        os.close(stdout)
        os.close(stderr)

    def _keep_command(self, argv: list[str], control: socket.socket, stdout: int, stderr: int, warden: int) -> None:
        descendants.die_with_parent()
        if os.getppid() != warden:  # it ended before the line above
            return
        if self._control is not None:
            self._control.close()
        command = Warden(control, self._order, Messages(), is_command=True)
        running = command.start(argv, stdout, stderr)
        os.close(stdout)
        os.close(stderr)
        if running:
            command.keep([])
            command.say({"gone": True})

    # -- the processes ----------------------------------------------------------------------------------

    def _reap(self) -> bool:
        """Take note of processes that have ended; return whether there is none left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                if not descendants.LISTED:
                    descendants.send_to_group(self._child, signal.SIGKILL)
                return True
            if pid == 0:
                return False
            self._commands.discard(pid)
            if pid == self._child:
                self._note_end(status)

    def _note_end(self, status: int) -> None:
        self._child_ended = True
        code = os.waitstatus_to_exitcode(status)
        self.say({"exited": {"code": code} if code >= 0 else {"signal": -code}})
        if not self._is_command:
            for pid in descendants.descendants(os.getpid()):
                descendants.send(pid, signal.SIGTERM)
            self._kill_at = min(self._kill_at, time.monotonic() + REST_GRACE)

    def _stop(self, grace: float) -> None:
        if not self._child_ended and grace > 0:
            descendants.send_to_group(self._child, signal.SIGTERM)
            for warden in self._commands:
                for pid in descendants.descendants(warden):
                    descendants.send(pid, signal.SIGTERM)
        self._kill_at = min(self._kill_at, time.monotonic() + grace)

    def _kill(self) -> None:
        """Kill all that is left, and come back for it: what the kernel is busy with does not end at once."""
        if not self._child_ended or not descendants.LISTED:
            descendants.send_to_group(self._child, signal.SIGKILL)
        if self._order["uid"] is not None and not self._is_command:
            descendants.kill_user(self._order["uid"])
        descendants.kill_below(os.getpid())
        self._kill_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, 1.0)
