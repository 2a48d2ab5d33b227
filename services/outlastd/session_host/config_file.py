"""Reads a session host's configuration from a TOML file, or makes one for a single program."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from outlast.core.errors import StartRefused
from outlast.settings.defaults import EVERYWHERE
from outlast.settings.kinds import read
from outlast.settings.values import Address, parse_address
from outlastd.front_door.guard import is_loopback
from outlastd.session_host.config import DEFAULT_LISTEN, HostConfig
from outlastd.session_host.config_errors import ConfigSource, nearest
from outlastd.session_host.config_machine import judged_in, store_beside
from outlastd.session_host.config_values import agent_name
from outlastd.session_host.toml_lines import KeyPath

#: Where the host keeps what is its own, beside the configuration.
FOLDER_NAME = ".outlast"
#: Bytes of a configuration.
MAX_BYTES = 1024 * 1024


def load_config(
    path: Path,
    *,
    host: str | None = None,
    port: int | None = None,
    token: bool = False,
    container: bool = False,
    **given: Any,
) -> HostConfig:
    """Read and check a file. ``given`` holds keys of the top that win over it, as does where to listen; None is none.

    ``token``: whether there is a token for callers to show that does not stand in the file (OUTLAST_TOKEN).
    ``container``: whether to listen on all addresses where nobody says.

    Raises:
        StartRefused: something cannot be taken; one line that names file and line of all that is wrong.
    """
    text = _read(path)
    source = ConfigSource(str(path), text)
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise source.broken(error) from None
    return _check(source, data, path.absolute().parent, host, port, token, container, given)


def config_for(
    program: Path,
    *,
    host: str | None = None,
    port: int | None = None,
    token: bool = False,
    container: bool = False,
    idle_timeout: str | None = None,
    max_lifetime: str | None = None,
    **given: Any,
) -> HostConfig:
    """Return the configuration of a host with one agent, named after its program; the rest is as in ``load_config``.

    Raises:
        StartRefused: something cannot be taken.
    """
    agent = {"file": program.absolute(), "idle_timeout": idle_timeout, "max_lifetime": max_lifetime}
    data = {"agents": {agent_name(program.stem): {key: value for key, value in agent.items() if value is not None}}}
    return _check(ConfigSource(str(program)), data, program.absolute().parent, host, port, token, container, given)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise StartRefused(f"cannot read {path}: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise StartRefused(f"{path} is over {MAX_BYTES:,} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise StartRefused(f"{path}:{line}: this is no UTF-8 text") from None


def _check(
    source: ConfigSource,
    data: dict[str, Any],
    folder: Path,
    host: str | None,
    port: int | None,
    token: bool,
    container: bool,
    given: dict[str, Any],
) -> HostConfig:
    """Return the configuration that ``data`` and what was given beside it make. Raises StartRefused."""
    given = {key: value for key, value in given.items() if value is not None}
    if container and host is None and "listen" not in data:
        host = EVERYWHERE
    if host is not None or port is not None:
        given["listen"] = _listen(data.get("listen"), host, port)
    if isinstance(store := given.get("store"), str):
        given["store"] = store_beside(Path.cwd(), store)
    source.given = frozenset(given)
    try:
        with judged_in(folder):
            config: HostConfig = read(HostConfig, data | given)
    except Exception as error:
        raise source.refused(error) from None
    if wrong := list(_wrong(config, token)):
        raise source.refuse(wrong)
    return attrs.evolve(config, folder=config.folder or folder / FOLDER_NAME)


def _listen(written: object, host: str | None, port: int | None) -> str:
    """Return where to listen when only a part of it was given."""
    try:
        address = parse_address(str(written))
    except ValueError:
        address = parse_address(DEFAULT_LISTEN)
    return str(Address(address.host if host is None else host, address.port if port is None else port))


def _wrong(config: HostConfig, token: bool) -> Iterator[tuple[KeyPath, str]]:
    """Tell what is wrong between the parts of a configuration that are fine by themselves."""
    auth = config.auth
    if not (auth.keys or auth.jwt or token or is_loopback(parse_address(config.listen).host)):
        yield (
            ("listen",),
            f"nobody but this machine is served without credentials, and others can reach {config.listen}: "
            "set OUTLAST_TOKEN, configure [[auth.keys]] or [auth.jwt], or listen on 127.0.0.1",
        )
    for what in ("name", "access_key"):
        seen: set[str] = set()
        for number, key in enumerate(auth.keys):
            value = getattr(key, what)
            if value in seen:
                yield ("auth", "keys", number, what), f"{value!r} is another key's already"
            seen.add(value)
    for number, key in enumerate(auth.keys):
        for place, name in enumerate(key.agents or ()):
            if name not in config.agents:
                yield (
                    ("auth", "keys", number, "agents", place),
                    f"there is no agent {name!r}{nearest(name, config.agents)}",
                )
    secrets = {key.secret_variable for key in auth.keys}
    for name, agent in config.agents.items():
        program = agent.command[0] if agent.command else ""
        if program and shutil.which(program, path=agent.environment.get("PATH")) is None:
            yield ("agents", name, "command"), f"there is no program {program} on the PATH"
        for place, variable in enumerate(agent.pass_environment):
            if variable in secrets:
                yield ("agents", name, "pass_environment", place), f"{variable} holds the secret of a key"
        short, _, suffix = name.rpartition("-")
        if short in config.agents and len(suffix) == 10 and suffix.isalnum():
            yield ("agents", name), f"AWS adds 10 characters to a name: this would be {short!r} as well"
