"""Ports of this machine for agents that listen on one."""

from __future__ import annotations

import random
import socket
import threading

#: Below the ports that systems hand out for connections (from 32768 on Linux): one of those could be taken by any
#: connection between the moment in which we look and the one in which the agent listens.
PORTS = range(20_000, 32_000)


class PortsPool:
    """Gives each port to one session at a time. For use from any thread."""

    def __init__(self, ports: range = PORTS) -> None:
        self._ports = ports
        self._used: set[int] = set()
        # Not the one that was free last: something may still connect to it for whom it served.
        self._next = random.randrange(len(ports))
        self._lock = threading.Lock()

    def take(self) -> int:
        """Return a port that nothing listens on. Raises LookupError when there is none."""
        with self._lock:
            for _ in self._ports:
                port = self._ports[self._next]
                self._next = (self._next + 1) % len(self._ports)
                if port not in self._used and _is_free(port):
                    self._used.add(port)
                    return port
        raise LookupError(f"none of the ports {self._ports[0]} to {self._ports[-1]} is free")

    def give_back(self, port: int) -> None:
        """Let another session have a port."""
        with self._lock:
            self._used.discard(port)


def _is_free(port: int) -> bool:
    # On all addresses: it is the agent's affair on which of them it listens.
    with socket.socket() as listener:
        try:
            listener.bind(("", port))
        except OSError:
            return False
        return True
