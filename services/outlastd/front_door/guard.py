"""Keeps web pages from driving an agent (design: section 7, who may do what).

A page of any site can make its reader's browser send requests to this machine, and with a name of its own that points
to 127.0.0.1 it can read the answers too. The browser's ``Origin`` gives away the one, the ``Host`` the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address

from outlast.headers import TASK_IDS, TRACE_URL
from outlastd.front_door.request import Refusal, Request
from outlastd.front_door.response import Response


class Guard:
    """Decides by ``Origin`` and ``Host`` whether a request is let in."""

    def __init__(self, allowed_origins: Iterable[str] = (), allowed_hosts: Iterable[str] = ()) -> None:
        self._allowed = frozenset(allowed_origins)
        #: Names, beside those of this machine, under which a listener of this machine's may be asked.
        self._allowed_hosts = frozenset(allowed_hosts)

    def check(self, request: Request) -> None:
        """Let the request pass, or raise Refusal with 403."""
        if request.on_loopback:
            for host in request.headers.getall("Host", ()):
                if not (_names_loopback(host) or _name_of(host) in self._allowed_hosts):
                    raise Refusal(
                        403,
                        f"the Host {host!r} is not a name of this machine, where this agent listens only: "
                        "ask 127.0.0.1 or localhost, or name it in OUTLAST_ALLOWED_HOSTS",
                    )
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() not in self._allowed:
            raise Refusal(
                403,
                f"web pages of the origin {origin!r} may not talk to this agent: name it in OUTLAST_ALLOWED_ORIGINS",
            )

    def preflight(self, request: Request) -> Response | None:
        """Return the answer to a browser that asks whether a page of an allowed origin may send what it wants to."""
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return None
        headers = {
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", "*"),
            "Access-Control-Max-Age": "600",
        }
        return Response(204, b"", headers=headers)

    def mark(self, request: Request, response: Response) -> None:
        """Tell the browser that the page, whose origin was let in, may read the answer."""
        origin = request.headers.get("Origin")
        if origin is not None:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = f"{TASK_IDS}, {TRACE_URL}, Retry-After"
            response.headers["Vary"] = "Origin"


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` (no port, no brackets) is a name or address of this machine for itself."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=64)
def _names_loopback(host: str) -> bool:
    """Tell the same of a ``Host`` header: a port may follow, and an IPv6 address stands in brackets."""
    if host.startswith("["):
        address, _, port = host[1:].partition("]")
        return is_loopback(address) and (not port or _is_port(port[1:]))
    name, colon, port = host.partition(":")
    return is_loopback(name) and (not colon or _is_port(port))


def _name_of(host: str) -> str:
    """Return a ``Host`` header's name, without the port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and _is_port(port) else host.lower()


def _is_port(text: str) -> bool:
    return text.isascii() and (text.isdecimal() or not text)
