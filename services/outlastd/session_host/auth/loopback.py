"""Callers on this machine, who need no credentials where none are configured."""

from __future__ import annotations

from outlastd.front_door.request import Request
from outlastd.session_host.auth.claims import refused
from outlastd.session_host.auth.neighbours import Neighbours, Origin
from outlastd.session_host.principal import Principal

NEIGHBOUR = Principal("local", operator=True)
#: Somebody who could be a guest: it may use a session whose id it knows, and learns of no other.
STRANGER = Principal("local", lists=False)


class Loopback:
    """Lets in whoever asks from this machine and is no guest."""

    def __init__(self, neighbours: Neighbours) -> None:
        self._neighbours = neighbours

    async def principal_of(self, request: Request) -> Principal:
        """Return who it is. Raises ApiError 403 for everybody else."""
        if not request.from_loopback:
            raise refused("it comes from another machine, and nobody there has credentials")
        match await self._neighbours.origin(request):
            case Origin.NEIGHBOUR:
                return NEIGHBOUR
            case Origin.UNKNOWN:
                return STRANGER
        raise refused("it comes from the process of a session")
