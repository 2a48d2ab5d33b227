"""The kinds of values that settings have: what is read from text, checked, and how a wrong one is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from attrs.validators import ge, gt, le, lt

from outlast.core.errors import InvalidField
from outlast.core.validation import MAX_ID, MAX_NAME, MAX_WAIT, check_text
from outlast.settings.kinds import After, Before, Unfit

SQLITE = "sqlite:///"
POSTGRESQL = ("postgresql://", "postgres://")

#: The units of times, seconds, and of sizes, bytes.
TIMES = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
SIZES = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", re.IGNORECASE)


class Unit(Enum):
    """What the number of a setting counts; it stands in the type."""

    SECONDS = "seconds"
    BYTES = "bytes"


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
        if not all(_has_port(place) for place in parts.netloc.rpartition("@")[2].split(",")):
            # Where a "/" in a password has cut the URL in two, what follows the colon is a part of it.
            raise ValueError("what follows the host is no port; write a / in the password as %2F")
        if not parts.path.strip("/"):
            raise ValueError("it names no database; write postgresql://USER@HOST:PORT/DATABASE")
        return url
    path = url.removeprefix(SQLITE)
    if not url.startswith(SQLITE) or not path.strip("/"):
        shown = "it" if "@" in url else repr(url)  # there may be a password before it, wherever that stands
        raise ValueError(
            f"{shown} is no store; write sqlite:///PATH (relative), sqlite:////PATH (absolute) "
            "or postgresql://USER@HOST:PORT/DATABASE"
        )
    if ":memory:" in path:
        raise ValueError("a store in memory would forget what was acknowledged; write sqlite:///PATH")
    return url


def _has_port(place: str) -> bool:
    """Tell whether a place in a URL, ``HOST`` or ``HOST:PORT``, has a port that may be one, or none."""
    _, colon, port = place.rpartition(":")
    return not (colon and port) or port.isdecimal() or place.endswith("]")


def without_password(url: str) -> str:
    """Return the URL of a store as it may be shown."""
    # Up to the last @: a password that should be escaped, and is not, is one too.
    shown = re.sub(r"(?<=://)([^:/@]*):.*@", r"\1:***@", url, flags=re.DOTALL)
    return re.sub(r"(?<=[?&])((?:ssl)?password)=[^&]*", r"\1=***", shown)


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
    seconds = _counted(value, TIMES)
    if seconds is None:
        raise ValueError(f"{value!r} is no duration; write seconds, or a number with s, m, h or d, such as 15s or 7d")
    return seconds


def _size(value: object) -> object:
    """Read ``1000``, ``100MB`` and ``1.5GiB``; what is no text is left to the type."""
    if not isinstance(value, str):
        return value
    size = _counted(value, SIZES | {"B": 1})
    if size is None:
        raise ValueError(f"{value!r} is no size; write bytes, or a number with KB, MB, GB, KiB, MiB or GiB")
    return int(size)


def _counted(text: str, units: Mapping[str, int]) -> float | None:
    """Return a number, with or without a unit, in the smallest one; None where it is none."""
    match = _NUMBER.fullmatch(text.strip())
    sizes = {"": 1} | {unit.lower(): size for unit, size in units.items()}
    return float(match[1]) * sizes[match[2].lower()] if match and match[2].lower() in sizes else None


def _port(value: object) -> object:
    if isinstance(value, str) and value.startswith("tcp://"):
        raise ValueError(
            "Kubernetes has set it for a Service of that name; "
            "set enableServiceLinks: false in the pod's spec, or name the Service otherwise"
        )
    return value


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


def _trace_url(text: str) -> str:
    if not re.fullmatch(r"https?://[^/\s][!-~]*", text):  # callers find it in a header
        shown = without_password(text)
        raise ValueError(f"{shown!r} is no URL; write http://127.0.0.1:16686, or one with {{trace_id}} in it")
    if "@" in urlsplit(text).netloc:
        raise ValueError("every caller is shown it; write it without a password")
    if other := re.search(r"\{(?!trace_id\}).*?\}", text):
        raise ValueError(f"{other[0]} stands for nothing; write {{trace_id}}")
    return text if "{trace_id}" in text else f"{text.rstrip('/')}/trace/{{trace_id}}"


def _log_keys(value: object) -> object:
    """Read ``level=severity,traceId=trace_id``."""
    if not isinstance(value, str):
        return value
    names: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in value.split(","))):
        name, equals, other = (piece.strip() for piece in pair.partition("="))
        if not (name and equals and other):
            raise ValueError(f"{pair!r} renames no key; write level=severity, several with commas between")
        if name in names:
            raise ValueError(f"{name!r} is renamed twice")
        names[name] = other
    if len(set(names.values())) < len(names):
        raise ValueError("two keys would have the same name")
    return names


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _file(value: object) -> object:
    if isinstance(value, str | Path) and not Path(value).is_file():
        raise Unfit("it should be the path of a file", value)
    return value


#: The shortest lease: a third of it is the time between two signs of life, which must be in time on a busy machine too.
MIN_LEASE = 0.5
#: No more seconds than can be added to a date.
_MAX_SECONDS = int(MAX_WAIT.total_seconds())

#: Seconds, written as a number or with a unit.
Seconds = Annotated[float, ge(0), le(_MAX_SECONDS), Before(_duration), Unit.SECONDS]
#: How long a lease may be, seconds.
LeaseSeconds = Annotated[float, ge(MIN_LEASE), le(_MAX_SECONDS), Before(_duration), Unit.SECONDS]
#: Bytes, written as a number or with a unit.
Bytes = Annotated[int, gt(0), Before(_size), Unit.BYTES]
#: A port; 0 for any that is free.
Port = Annotated[int, ge(0), lt(65_536), Before(_port)]
Count = Annotated[int, gt(0)]
#: The path of a file that is there.
ExistingFile = Annotated[Path, Before(_file)]
Token = Annotated[str, After(_token)]
AgentName = Annotated[str, After(_agent)]
SessionId = Annotated[str, After(_session)]
ListenAddress = Annotated[str, After(_address)]
Target = Annotated[str, After(_target)]
StoreUrl = Annotated[str, After(_store)]
Origins = Annotated[tuple[Annotated[str, After(_origin)], ...], Before(_lower_case_list)]
HostNames = Annotated[tuple[Annotated[str, After(_host_name)], ...], Before(_lower_case_list)]
#: A URL with ``{trace_id}`` in it; that of a Jaeger alone stands for its page of a trace.
TraceUrl = Annotated[str, After(_trace_url)]
#: Names of keys, and what they are called instead.
LogKeys = Annotated[dict[str, str], Before(_log_keys)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Before(_upper)]
