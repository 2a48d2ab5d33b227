"""The kinds of values that settings have: what is read from text, checked, and how a wrong one is told."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from outlast.core.errors import InvalidField
from outlast.core.validation import MAX_ID, MAX_NAME, MAX_WAIT, check_text

SQLITE = "sqlite:///"
POSTGRESQL = ("postgresql://", "postgres://")

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([smhd]?)", re.IGNORECASE)


class Address(NamedTuple):
    """Where a socket is, or is to be."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return the parts of ``HOST:PORT``; an IPv6 host stands in brackets. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""  # an IPv6 address without brackets: which colon is the last?
    if not (host and colon and port.isascii() and port.isdecimal() and int(port) < 65_536):
        raise ValueError(f"{text!r} is no address: write HOST:PORT, such as 127.0.0.1:50051")
    return Address(host, int(port))


def _address(text: str) -> str:
    return str(parse_address(text))


def _target(text: str) -> str:
    """One address of a task manager, or those of several replicas with commas between."""
    targets = [part.strip().removeprefix("http://").removesuffix("/") for part in text.split(",")]
    return ",".join(target if target.startswith("unix:") else _address(target) for target in targets)


def _store(url: str) -> str:
    if url.startswith(POSTGRESQL):
        parts = urlsplit(url)
        if not parts.path.strip("/"):
            raise ValueError("it names no database; write postgresql://USER@HOST:PORT/DATABASE")
        return url
    path = url.removeprefix(SQLITE)
    if not url.startswith(SQLITE) or not path.strip("/"):
        raise ValueError(
            f"{url!r} is no store; write sqlite:///PATH (relative), sqlite:////PATH (absolute) "
            "or postgresql://USER@HOST:PORT/DATABASE"
        )
    if ":memory:" in path:
        raise ValueError("a store in memory would forget what was acknowledged; write sqlite:///PATH")
    return url


def without_password(url: str) -> str:
    """Return the URL of a store as it may be shown."""
    return re.sub(r"(?<=://)([^:/@]*):[^/]*@", r"\1:***@", url)


def _agent(name: str) -> str:
    try:
        return check_text("agent", name, MAX_NAME, required=True)
    except InvalidField as error:
        raise ValueError(error.why) from None


def _session(name: str) -> str:
    try:
        return check_text("session", name, MAX_ID)
    except InvalidField as error:
        raise ValueError(error.why) from None


def _token(text: str) -> str:
    # It travels in an HTTP header, where anything else would be refused or changed on its way.
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError("a token is made of printable ASCII characters without spaces")
    return text


def _duration(value: object) -> object:
    """Read ``15``, ``15s``, ``10m``, ``8h``, ``7d`` and ``1.5h``; what is no text is left to the type."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is no duration; write seconds, or a number with s, m, h or d, such as 15s or 7d")
    number, unit = match.groups()
    return float(number) * _UNITS[unit.lower()]


def _lower_case_list(value: object) -> object:
    if isinstance(value, str):
        return tuple(filter(None, (part.strip().rstrip("/").lower() for part in value.split(","))))
    return value


def _origin(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s,*]+", text):
        raise ValueError(f"{text!r} is no origin; write https://example.com, several with commas between")
    return text


def _host_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:]+", text):
        raise ValueError(f"{text!r} is no name of a host; write agent.example.com, several with commas between")
    return text


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


#: The shortest lease: a third of it is the time between two signs of life, which must be in time on a busy machine too.
MIN_LEASE = 0.5

#: Seconds, written as a number or with a unit; no more than can be added to a date.
Seconds = Annotated[float, Field(ge=0, le=MAX_WAIT.total_seconds(), allow_inf_nan=False), BeforeValidator(_duration)]
#: How long a lease may be, seconds.
LeaseSeconds = Annotated[
    float, Field(ge=MIN_LEASE, le=MAX_WAIT.total_seconds(), allow_inf_nan=False), BeforeValidator(_duration)
]
Bytes = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Token = Annotated[str, AfterValidator(_token)]
AgentName = Annotated[str, AfterValidator(_agent)]
SessionId = Annotated[str, AfterValidator(_session)]
ListenAddress = Annotated[str, AfterValidator(_address)]
Target = Annotated[str, AfterValidator(_target)]
StoreUrl = Annotated[str, AfterValidator(_store)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_lower_case_list)]
HostNames = Annotated[
    tuple[Annotated[str, AfterValidator(_host_name)], ...], NoDecode, BeforeValidator(_lower_case_list)
]
#: Turns what is written in any case into capitals.
InCapitals = BeforeValidator(_upper)
