"""What Linux tells in /proc of connections and of the processes that hold them. Everything here blocks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

#: What is raised of a process, or a file of one, that has gone or is somebody else's.
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


@dataclass(frozen=True, slots=True)
class Socket:
    """One end of a connection."""

    uid: int
    #: 0 when no process holds it any more.
    inode: int


class Proc:
    """Reads /proc. Every method raises OSError when it cannot, as where no file descriptor is left."""

    def __init__(self, root: Path = Path("/proc")) -> None:
        self._root = root

    def sockets(self, address: str, port: int, peer_port: int) -> list[Socket]:
        """Return the TCP sockets at an address and port that are connected to ``peer_port``, of whatever address.

        Raises:
            FileNotFoundError: this machine does not tell.
        """
        ends = {f"{form}:{port:04X}".encode() for form in _forms(address)}
        other = f":{peer_port:04X}".encode()
        found = []
        for table in ("tcp", "tcp6"):
            try:
                lines = (self._root / "net" / table).open("rb")
            except FileNotFoundError:
                if table == "tcp":
                    raise
                continue
            with lines:  # as they come: there may be as many as the machine has had connections lately
                for line in lines:
                    if other in line:
                        fields = line.split()
                        if fields[1] in ends and fields[2].endswith(other):
                            found.append(Socket(int(fields[7]), int(fields[9])))
        return found

    def holders(self, inode: int) -> Iterator[int]:
        """Give the processes that hold a socket, of those that may be looked at."""
        wanted = f"socket:[{inode}]"
        for name in os.listdir(self._root):
            if name.isdecimal() and self._holds(f"{self._root}/{name}/fd", wanted):
                yield int(name)

    def parent(self, pid: int) -> int:
        """Return the parent of a process; 0 when there is none. Raises OSError when the process is gone."""
        stat = (self._root / str(pid) / "stat").read_bytes()
        return int(stat.rpartition(b")")[2].split()[1])  # the name before may hold anything

    @staticmethod
    def _holds(folder: str, wanted: str) -> bool:
        try:
            names = os.listdir(folder)
        except _GONE:
            return False
        for name in names:
            try:
                if os.readlink(f"{folder}/{name}") == wanted:
                    return True
            except OSError:  # closed since, or a path too long to be told: no socket, in any case
                continue
        return False


def _forms(address: str) -> Iterator[str]:
    """Give an address as the tables have it: words of 32 bits in the machine's order; IPv4 in either table."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if isinstance(parsed, IPv4Address):
        yield _words(parsed.packed)
        parsed = IPv6Address(b"\0" * 10 + b"\xff\xff" + parsed.packed)
    yield _words(parsed.packed)


def _words(packed: bytes) -> str:
    words = (packed[start : start + 4] for start in range(0, len(packed), 4))
    return "".join((word[::-1] if sys.byteorder == "little" else word).hex().upper() for word in words)
