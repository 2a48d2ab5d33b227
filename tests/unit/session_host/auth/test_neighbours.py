"""Guests and neighbours, in a made-up table of processes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest

from outlastd.session_host.auth.loopback import NEIGHBOUR, STRANGER, Loopback
from outlastd.session_host.auth.neighbours import KEEP, MAX_KEPT, Neighbours, Origin
from outlastd.session_host.auth.proc import Proc, Socket

from .asking import StillClock, asking

HOST, SPAWNER, WARDEN, GUEST, CHILD, ORPHAN, SHELL, CURL = 100, 101, 102, 103, 104, 105, 200, 201
PARENTS = {HOST: 1, SPAWNER: HOST, WARDEN: SPAWNER, GUEST: WARDEN, CHILD: GUEST, ORPHAN: WARDEN, SHELL: 1, CURL: SHELL}
OURS = os.geteuid()
INODE = 7


class Table(Proc):
    """A table of processes, and who holds the connection."""

    def __init__(self, *holding: int, uid: int = OURS, inode: int = INODE) -> None:
        super().__init__()
        self.found = [Socket(uid, inode)]
        self.holding = holding
        self.parents = dict(PARENTS)
        self.looks = 0

    def sockets(self, address: str, port: int, peer_port: int) -> list[Socket]:
        """Give what the test wants."""
        assert (address, port, peer_port) == ("127.0.0.1", 50_000, 8080)
        return self.found

    def holders(self, inode: int) -> Iterator[int]:
        """Give who holds it."""
        assert inode
        self.looks += 1
        return iter(self.holding)

    def parent(self, pid: int) -> int:
        """Look it up."""
        if pid not in self.parents:
            raise ProcessLookupError
        return self.parents[pid]


class MovedClock(StillClock):
    """A clock that a test moves."""

    seconds = 0.0

    def monotonic(self) -> float:
        """Return seconds."""
        return self.seconds


async def origin(table: Table, *, uid: int = OURS) -> Origin:
    """Ask for the connection's origin while one guest lives."""
    return await Neighbours(lambda: [(GUEST, uid)], proc=table, host=HOST).origin(asking())


@pytest.mark.parametrize(
    ("holder", "expected"),
    [
        (CURL, Origin.NEIGHBOUR),
        (SHELL, Origin.NEIGHBOUR),
        (HOST, Origin.NEIGHBOUR),
        (1, Origin.NEIGHBOUR),
        (GUEST, Origin.GUEST),
        (CHILD, Origin.GUEST),
        (ORPHAN, Origin.GUEST),
        (WARDEN, Origin.GUEST),
        (SPAWNER, Origin.GUEST),
        (999, Origin.GUEST),
    ],
)
async def test_what_descends_from_host_or_warden_is_a_guest(holder: int, expected: Origin) -> None:
    """Nobody else is, but one of whom nothing is known any more."""
    assert await origin(Table(holder)) is expected


async def test_a_warden_whose_spawner_has_died_is_known_by_its_guest() -> None:
    """Its parent is init then, as everybody's; init is nobody's warden."""
    table = Table(ORPHAN)
    table.parents[WARDEN] = 1
    assert await origin(table) is Origin.GUEST

    table = Table(CURL)
    table.parents[GUEST] = 1
    assert await origin(table) is Origin.NEIGHBOUR


async def test_one_guest_among_the_holders_is_enough() -> None:
    """A connection may be passed on."""
    assert await origin(Table(CURL, CHILD)) is Origin.GUEST


async def test_a_connection_of_a_guests_user_is_a_guests() -> None:
    """Whoever holds it; the host's own user says nothing."""
    assert await origin(Table(CURL, uid=61_184), uid=61_184) is Origin.GUEST
    assert await origin(Table(CURL), uid=OURS) is Origin.NEIGHBOUR


async def test_what_cannot_be_found_is_a_guests() -> None:
    """No connection, one that nobody holds, or one of our own user's that no process has."""
    gone = Table()
    gone.found = []

    assert await origin(gone) is Origin.GUEST
    assert await origin(Table(CURL, inode=0)) is Origin.GUEST
    assert await origin(Table()) is Origin.GUEST


@pytest.mark.parametrize(("own", "expected"), [(0, Origin.GUEST), (1000, Origin.NEIGHBOUR)])
async def test_whose_processes_we_may_not_see_is_none_of_our_guests(
    monkeypatch: pytest.MonkeyPatch, own: int, expected: Origin
) -> None:
    """A host that is not root starts guests as itself only; root sees everybody's."""
    monkeypatch.setattr("os.geteuid", lambda: own)

    assert await origin(Table(uid=1001), uid=own) is expected


async def test_an_answer_holds_for_its_connection_for_some_seconds() -> None:
    """Another connection from the same port is looked at anew; old answers do not pile up."""
    table, clock = Table(CURL), MovedClock()
    neighbours = Neighbours(list, proc=table, host=HOST, clock=clock)
    for looks in (1, 1, 2):
        clock.seconds = KEEP if looks == 2 else 0.0
        assert await neighbours.origin(asking(connection=1)) is Origin.NEIGHBOUR
        assert table.looks == looks

    for connection in range(2, MAX_KEPT + 10):
        assert await neighbours.origin(asking(connection=connection)) is Origin.NEIGHBOUR
    assert len(neighbours._kept) <= MAX_KEPT
    table.holding = (GUEST,)
    assert await neighbours.origin(asking(connection=MAX_KEPT + 10)) is Origin.GUEST


@pytest.mark.parametrize("where", ["sockets", "holders"])
async def test_when_the_look_fails_it_is_a_guests(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """A guest that uses up the host's file descriptors does not pass for somebody else."""

    def fail(*_: object) -> object:
        raise OSError(errno.EMFILE, "Too many open files")

    table = Table(CURL)
    monkeypatch.setattr(table, where, fail)
    assert await origin(table) is Origin.GUEST


async def test_where_nothing_is_told_callers_are_no_operators() -> None:
    """They may use what they know of."""

    class Silent(Table):
        def sockets(self, address: str, port: int, peer_port: int) -> list[Socket]:
            raise FileNotFoundError

    assert await origin(Silent()) is Origin.UNKNOWN
    assert await Loopback(Neighbours(list, proc=Silent())).principal_of(asking()) == STRANGER
    assert await Loopback(Neighbours(list, proc=Table(CURL), host=HOST)).principal_of(asking()) == NEIGHBOUR
    assert (STRANGER.operator, NEIGHBOUR.operator) == (False, True)
