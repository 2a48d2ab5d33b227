"""The values of a session host's configuration that only its machine can judge: paths, programs, secrets, users.

They are judged while a configuration is read, where ``judged_in`` names the folder that paths are relative to.
Elsewhere they are taken as they are.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, TypeVar

from outlast.settings.kinds import After
from outlast.settings.values import SQLITE, StoreUrl
from outlastd.session_host.config_values import VARIABLE, CommandLine

T = TypeVar("T")

#: Bytes of an agent card.
MAX_CARD = 1024 * 1024
#: The users that sessions run as where nobody names others: systemd gives these to services for a while, and to nobody.
DEFAULT_USERS = range(61_184, 65_520)

#: The folder that paths are relative to; None where values are taken as they are.
_folder: ContextVar[Path | None] = ContextVar("folder", default=None)

_USERS = re.compile(r"([0-9]{1,10})-([0-9]{1,10})")


def parse_users(text: str) -> range | None:
    """Return the numbers of the users that sessions run as; None for the host's own user.

    ``auto`` is DEFAULT_USERS for a host that runs as root, and none for another. Raises ValueError.
    """
    if text == "auto":
        return DEFAULT_USERS if os.geteuid() == 0 else None
    if text == "off":
        return None
    match = _USERS.fullmatch(text)
    first, last = (int(number) for number in match.groups()) if match else (0, 0)
    if not 0 < first <= last < 2**32 - 1:
        raise ValueError(f"{text!r} names no users; write auto, off, or the first and the last, such as 61184-65519")
    return range(first, last + 1)


def beside(folder: Path, path: Path) -> Path:
    """Return a path that was written in a file of ``folder``, absolute. Raises ValueError for an unknown ``~user``."""
    try:
        return Path(os.path.abspath(folder / path.expanduser()))
    except RuntimeError:
        raise ValueError(f"{path} begins with the home folder of nobody") from None


def store_beside(folder: Path, url: str) -> str:
    """Return the URL of a store with the path of its file, if it has one, absolute."""
    return f"{SQLITE}{beside(folder, Path(url.removeprefix(SQLITE)))}" if url.startswith(SQLITE) else url


def read_secret(path: Path) -> str:
    """Return the one line that a file with a secret holds. Raises ValueError when it is empty or cannot be read."""
    try:
        text = path.read_text("utf-8").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no UTF-8 text") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from None
    if not text:
        raise ValueError(f"{path} is empty")
    return text


@contextmanager
def judged_in(folder: Path) -> Iterator[None]:
    """Have the values that are read meanwhile judged, with paths that are relative to a folder."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def _judged(judge: Callable[[Path, T], T]) -> After:
    """Return what has ``judge``, given the folder, take a value or raise ValueError; see above."""

    def make(value: T) -> T:
        folder = _folder.get()
        return value if folder is None else judge(folder, value)

    return After(make)


def _variable(folder: Path, name: str) -> str:
    if not os.environ.get(name):
        raise ValueError("the variable that it names is not set")
    return name


def _no_secret(name: str) -> str:
    # What stands here by mistake may be the secret itself: it is not told.
    if not VARIABLE.fullmatch(name):
        raise ValueError("it is no name of a variable")
    return name


def _file(folder: Path, path: Path) -> Path:
    return _found(beside(folder, path), stat.S_ISREG, "a file", os.R_OK)


def _directory(folder: Path, path: Path) -> Path:
    return _found(beside(folder, path), stat.S_ISDIR, "a folder", os.X_OK)


def _program(folder: Path, path: Path) -> Path:
    return _found(beside(folder, path), stat.S_ISREG, "a program", os.X_OK)


def _found(path: Path, kind: Callable[[int], bool], what: str, access: int) -> Path:
    """Return ``path`` when it is there, of this kind, and this process has access to it; raise ValueError otherwise."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror})") from None
    if not kind(mode):
        raise ValueError(f"{path} is not {what}")
    if not os.access(path, access):
        raise ValueError(f"{path} cannot be {'run' if kind is stat.S_ISREG and access == os.X_OK else 'read'}")
    return path


def _python(folder: Path, path: Path) -> Path:
    if path.parent == Path() and (found := shutil.which(path)):  # a bare name is looked up as a shell does
        return Path(found)
    return _program(folder, path)


def _command(folder: Path, words: tuple[str, ...]) -> tuple[str, ...]:
    if words and "/" in words[0]:
        return (str(_program(folder, Path(words[0]))), *words[1:])
    return words


def _card(folder: Path, path: Path) -> Path:
    if path.stat().st_size > MAX_CARD:
        raise ValueError(f"{path} is over {MAX_CARD:,} bytes")
    try:
        card: Any = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON ({error})") from None
    if not isinstance(card, dict):
        raise ValueError(f"{path} is no JSON object")
    return path


def _secret(folder: Path, path: Path) -> Path:
    read_secret(path)
    return path


def _named_users(text: str) -> str:
    parse_users(text)
    return text


def _users(folder: Path, text: str) -> str:
    if text != "auto" and parse_users(text) and os.geteuid() != 0:
        raise ValueError("only a host that runs as root can have users of its own for sessions; write auto or off")
    return text


#: A variable of the host's that holds something.
SetVariable = Annotated[str, After(_no_secret), _judged(_variable)]
ExistingFile = Annotated[Path, _judged(_file)]
ExistingFolder = Annotated[Path, _judged(_directory)]
#: A folder that is made where it is not there.
Folder = Annotated[Path, _judged(beside)]
Python = Annotated[Path, _judged(_python)]
Command = Annotated[CommandLine, _judged(_command)]
AgentCard = Annotated[ExistingFile, _judged(_card)]
SecretFile = Annotated[ExistingFile, _judged(_secret)]
Store = Annotated[StoreUrl, _judged(store_beside)]
Users = Annotated[str, After(_named_users), _judged(_users)]
