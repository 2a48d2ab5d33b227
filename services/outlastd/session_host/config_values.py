"""The kinds of values that a session host's configuration has: names, texts, numbers."""

from __future__ import annotations

import re
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from attrs.validators import gt

from outlast.settings.kinds import After, Before, Unfit
from outlast.settings.values import Bytes, Seconds
from outlastd.session_host.forwarding import HEADER_NAME, may_pass

T = TypeVar("T")

#: What the host itself tells a process of a session; nobody else may.
HOST_VARIABLES = frozenset(
    {
        "PORT",
        "OUTLAST_AGENT",
        "OUTLAST_FRONT_DOOR_SECRET",
        "OUTLAST_FRONT_DOOR_SOCKET",
        "OUTLAST_HOST",
        "OUTLAST_PORT",
        "OUTLAST_SESSION",
        "OUTLAST_SHUTDOWN_GRACE",
        "OUTLAST_STORE",
        "OUTLAST_STORE_FILE",
        "OUTLAST_TASK_MANAGER",
        "OUTLAST_TLS_CA",
        "OUTLAST_TOKEN",
        "OUTLAST_TOKEN_FILE",
        "OUTLAST_WORKER_TOKEN",
        "OUTLAST_WORKER_TOKEN_FILE",
    }
)
#: What stands for something in a command.
PLACEHOLDERS = ("{port}", "{socket}")
#: Request headers that may be named for one agent (contract section 1.5).
MAX_FORWARDED_HEADERS = 20
#: Characters of a text.
MAX_TEXT = 1024
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,99}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PREFIX = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,255}")
_ACCESS_KEY = re.compile(r"[A-Za-z0-9_]{1,128}")  # it stands before a slash in a signature's scope
#: Signatures that only the issuer can make: with a shared secret, or with none, anybody who may check could sign.
_ALGORITHMS = frozenset(f"{kind}{bits}" for kind in ("RS", "ES", "PS") for bits in (256, 384, 512)) | {"EdDSA"}


def agent_name(stem: str) -> str:
    """Return the nearest thing to ``stem`` that is an agent name."""
    name = re.sub(r"[^a-zA-Z0-9_-]", "-", stem)
    return (name if re.match("[a-zA-Z]", name) else f"agent-{name}")[:100]


def _agent(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no agent name: a letter, then up to 99 letters, digits, - and _")
    return name


def _variable(name: str) -> str:
    if not VARIABLE.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a variable")
    return name


def _guest_variable(name: str) -> str:
    if name in HOST_VARIABLES:
        raise ValueError(f"the host itself says what {name} is in the processes of a session")
    return name


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("it holds U+0000, which no process can be given")
    return value


def _header(name: str) -> str:
    if not HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header")
    if not may_pass(name):
        raise ValueError(f"{name} is a header that never reaches an agent")
    return name


def _headers(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) > MAX_FORWARDED_HEADERS:
        raise ValueError(f"these are {len(names)} headers, over the limit of {MAX_FORWARDED_HEADERS}")
    if twice := sorted(name for name in {n.lower() for n in names} if [n.lower() for n in names].count(name) > 1):
        raise ValueError(f"{twice[0]} is there twice")
    return names


def _command(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words:
        return words
    if not words[0]:
        raise ValueError('a command begins with a program, such as ["node", "agent.js"]')
    used = {found for word in words for found in re.findall(r"\$?\{[a-z_]+\}", word)}
    for found in sorted(used):
        if found.removeprefix("$") in PLACEHOLDERS and found.startswith("$"):
            raise ValueError(f"write {found[1:]}: {found} would be a variable of a shell's")
        if found not in PLACEHOLDERS and not found.startswith("$"):
            raise ValueError(f"{found} stands for nothing; {' and '.join(PLACEHOLDERS)} do")
    if used.issuperset(PLACEHOLDERS):
        raise ValueError("an agent listens either on {port} or at {socket}")
    return words


def _https(url: str) -> str:
    try:
        parts = urlsplit(url)
        fine = parts.scheme == "https" and parts.hostname and parts.username is None and (parts.port or 1)
    except ValueError:
        fine = False
    if not fine or re.search(r"[\s\x00-\x1f]", url):
        raise ValueError(f"{url!r} is no https URL: keys that come another way could be anybody's")
    return url


def _public_url(url: str) -> str:
    if not re.fullmatch(r"https?://[^/\s?#@\"]+", url):
        raise ValueError(f"{url!r} is no address of a host; write https://agents.example.com")
    return url


def _algorithm(name: str) -> str:
    if name not in _ALGORITHMS:
        raise ValueError(f"{name!r} is none of {', '.join(sorted(_ALGORITHMS))}")
    return name


def some(value: T) -> T:
    """Return what is not empty. Raises ValueError."""
    if not value:
        raise ValueError("it is empty")
    return value


def _short(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise Unfit(f"it should have at most {MAX_TEXT:,} characters", text)
    return text


def _flag(value: object) -> object:
    if not isinstance(value, bool):
        raise Unfit("write true or false", value)
    return value


def _session_prefix(text: str) -> str:
    if text and not _PREFIX.fullmatch(text):
        raise ValueError(f"no session id begins with {text!r}: a letter or digit, then letters, digits, - and _")
    return text


def _access_key(text: str) -> str:
    if not _ACCESS_KEY.fullmatch(text):
        raise ValueError("it is no access key: up to 128 letters, digits and _")
    return text


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"it should be a number, not {str(value).lower()}")
    return value


def _whole(value: object) -> object:
    if isinstance(value, str):
        raise ValueError(f"it should be a number, not {value!r}")
    return _number(value)


AgentName = Annotated[str, After(_agent)]
Variable = Annotated[str, After(_variable)]
#: A variable that the configuration may set in the processes of a session, or pass on to them.
GuestVariable = Annotated[Variable, After(_guest_variable)]
#: What a process can be given as an argument or a variable.
Word = Annotated[str, After(_text)]
#: A program with its arguments; none for no command.
CommandLine = Annotated[tuple[Word, ...], After(_command)]
ForwardHeaders = Annotated[tuple[Annotated[str, After(_header)], ...], After(_headers)]
HttpsUrl = Annotated[str, After(_https)]
PublicUrl = Annotated[str, After(_public_url)]
Algorithms = Annotated[tuple[Annotated[str, After(_algorithm)], ...], After(some)]
SessionPrefix = Annotated[str, After(_session_prefix)]
AccessKey = Annotated[str, After(_access_key)]
#: A text of bounded length.
Text = Annotated[str, After(_short)]
NonEmpty = Annotated[Text, After(some)]
#: On or off, and nothing else that stands for it.
Flag = Annotated[bool, Before(_flag)]
#: Seconds, more than none.
Duration = Annotated[Seconds, gt(0), Before(_number)]
#: Seconds, or none.
Grace = Annotated[Seconds, Before(_number)]
#: Bytes.
Size = Annotated[Bytes, Before(_number)]
Count = Annotated[int, gt(0), Before(_whole)]
