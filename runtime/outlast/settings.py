"""The settings: read from the environment once, checked once, with errors that name the variable.

Every field is the variable ``OUTLAST_`` and its name in capitals. Precedence: the command line (which sets the
variables), the environment, an argument in code, the default. The environment wins over code because whoever deploys a
program decides where it listens, not who wrote it.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, FilePath, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from outlast import limits
from outlast.core.errors import StartRefused
from outlast.core.policy import DEFAULT_POLICY
from outlast.setting_values import (
    POSTGRESQL,
    SQLITE,
    AgentName,
    Bytes,
    Count,
    HostNames,
    InCapitals,
    LeaseSeconds,
    ListenAddress,
    Origins,
    Seconds,
    SessionId,
    StoreUrl,
    Target,
    Token,
    without_password,
)

PREFIX = "OUTLAST_"
DEFAULT_PORT = 8080
DEFAULT_TASK_MANAGER_LISTEN = "127.0.0.1:50051"


def default_host() -> str:
    """Return where the front door listens when nobody says: everywhere in a container, else on this machine only."""
    container = os.path.exists("/.dockerenv") or os.environ.get("DOCKER_CONTAINER")
    return "0.0.0.0" if container else "127.0.0.1"


class Settings(BaseSettings):
    """How a process of outlast is set up. Made by ``load_settings``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        validate_default=True,
    )

    #: The agent name, part of every task; by default the stem of the program's file.
    agent: AgentName = Field(default_factory=lambda: default_agent(program_file()))
    #: Where the front door listens.
    host: str = Field(default_factory=default_host)
    #: None when nobody asked for one: then 8080. ``PORT`` is read where OUTLAST_PORT is not set.
    port: Annotated[int, Field(ge=0, lt=65_536)] | None = Field(
        default=None, validation_alias=AliasChoices("OUTLAST_PORT", "PORT")
    )
    #: A Unix socket that the front door serves instead of an address.
    front_door_socket: Path | None = None
    #: What every request to the front door has to show (headers.SECRET); None for nothing.
    front_door_secret: Token | None = Field(default=None, repr=False)
    #: The one session that this process works for; empty for any.
    session: SessionId = ""
    #: The task manager to use, ``HOST:PORT`` or ``unix:PATH``, replicas with commas between; None for an embedded one.
    task_manager: Target | None = None
    #: Where a task manager listens, ``HOST:PORT``; None when nobody asked: then 127.0.0.1:50051, or the next free port.
    task_manager_listen: ListenAddress | None = None
    #: Where tasks are kept, ``sqlite:///PATH`` or ``postgresql://USER@HOST:PORT/DATABASE``.
    store: StoreUrl = Field(default_factory=lambda data: default_store(data["agent"], program_file()), repr=False)

    #: What callers of TaskService and of /tasks show; None for none.
    token: Token | None = Field(default=None, repr=False)
    token_file: Path | None = None
    #: What workers show; None for none.
    worker_token: Token | None = Field(default=None, repr=False)
    worker_token_file: Path | None = None
    #: The certificate chain and the key of the gRPC server, PEM files.
    tls_cert: Path | None = None
    tls_key: Path | None = None
    #: Whose signature on a task manager's certificate is trusted, a PEM file; with it the way to one is TLS.
    tls_ca: FilePath | None = None
    #: Serve gRPC beyond this machine without a token.
    insecure: bool = False
    #: Origins of web pages that may talk to the front door.
    allowed_origins: Origins = ()

    #: Names under which a listener of this machine's may be asked: a proxy passes them on.
    allowed_hosts: HostNames = ()

    #: How long an answer waits for its tasks to be durable after the handler has run, seconds.
    ack_timeout: Seconds = limits.ACK_TIMEOUT
    #: How long a worker's lease holds without a sign of life.
    lease_ttl: LeaseSeconds = DEFAULT_POLICY.lease_ttl.total_seconds()
    #: How long code may take to follow a cancel before a forced one, or one of a manual task, ends the task.
    cancel_grace: Seconds = DEFAULT_POLICY.cancel_grace.total_seconds()
    #: How long a task may wait for a worker where it says nothing itself; 0 for ever.
    queue_timeout: Seconds = 86_400.0
    #: How long a task that has ended is kept; 0 for ever.
    retention: Seconds = 7 * 86_400.0
    #: How long running tasks may go on after SIGTERM, seconds.
    shutdown_grace: Seconds = 8.0
    #: How long code may block the loop it runs on before the log names its line, seconds; 0 for as long as it likes.
    blocked_after: Seconds = 1.0
    #: Whether an invocation under way makes /ping say HealthyBusy.
    busy_invocations: bool = False
    #: Whether a 500 tells the caller what the handler raised, as the contract has it.
    error_detail: bool = True

    #: The logger name of the contract's lines; None when nobody asked: then that of the documents.
    logger_name: str | None = None
    #: The least level that is logged; None when nobody asked: then INFO, and what the program says of its App's logger.
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], InCapitals] | None = None

    #: The largest request body, bytes.
    max_body_bytes: Bytes = limits.MAX_BODY_BYTES
    #: How many invocations may be under way at a time.
    max_invocations: Count = limits.MAX_INVOCATIONS
    #: The largest result of a task, bytes of JSON.
    max_result_bytes: Bytes = limits.MAX_RESULT_BYTES
    #: How many synchronous entrypoints may run at a time.
    max_call_threads: Count = limits.MAX_CALL_THREADS
    #: How many tasks of one agent may wait for a worker.
    max_backlog: Count = DEFAULT_POLICY.max_backlog
    #: How many tasks may live in this process before it is given no more from outside.
    max_tasks: Count = limits.MAX_TASKS
    #: How many synchronous tasks may run at a time.
    max_task_threads: Count = limits.MAX_TASK_THREADS

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over arguments in code."""
        return env_settings, init_settings

    @model_validator(mode="before")
    @classmethod
    def _name_after_program(cls, data: dict[str, Any]) -> dict[str, Any]:
        program = data.pop("program", None)
        if program is not None:
            data.setdefault("agent", default_agent(program))
            data.setdefault("store", default_store(str(data["agent"]), program))
        return data

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, data: dict[str, Any]) -> dict[str, Any]:
        for name in ("token", "worker_token"):
            path = data.get(f"{name}_file")
            if path is None:
                continue
            if data.get(name) is not None:
                raise ValueError(f"{PREFIX}{name.upper()} and {PREFIX}{name.upper()}_FILE are both set: keep one")
            try:
                data[name] = Path(path).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"{PREFIX}{name.upper()}_FILE: {path} cannot be read ({_why(error)})") from None
        return data

    @model_validator(mode="after")
    def _check_tls(self) -> Settings:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("OUTLAST_TLS_CERT and OUTLAST_TLS_KEY go together: set both or none")
        return self

    @property
    def store_path(self) -> Path | None:
        """The file of the SQLite store, absolute; None for another kind of store."""
        if self.store.startswith(POSTGRESQL):
            return None
        return Path(self.store.removeprefix(SQLITE)).expanduser().absolute()

    @property
    def shown_store(self) -> str:
        """The store as it may be logged: without a password."""
        return without_password(self.store)


def load_settings(**code: Any) -> Settings:
    """Read and check the settings. ``code`` holds arguments of the program: the environment wins, None is not given.

    ``program`` among them is the program's file, where that is not the one that Python was started with.

    Raises:
        StartRefused: something cannot be taken; one line that names the variable.
    """
    try:
        return Settings(**{name: value for name, value in code.items() if value is not None})
    except ValidationError as error:
        # The default of the store hangs on the agent name; that it could not be made is no error of its own.
        told = [_told(detail) for detail in error.errors() if detail["type"] != "default_factory_not_called"]
        raise StartRefused("; ".join(told)) from None


def program_file() -> Path | None:
    """Return the file of the program that runs; None in a notebook or an interactive session."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(os.path.abspath(path)) if path else None


def default_agent(program: Path | None) -> str:
    """Return the agent name of a program: its file's stem, or its folder's for ``python -m package``."""
    if program is None:
        return "agent"
    return (program.parent.name if program.stem == "__main__" else program.stem) or "agent"


def default_store(agent: str, program: Path | None) -> str:
    """Return the store of an agent: a file in ``.outlast`` beside the program."""
    folder = program.parent if program else Path.cwd()
    stem = re.sub(r"[/\\\x00:]", "-", agent)
    return f"{SQLITE}{folder / '.outlast' / stem}.db"


def _told(detail: Any) -> str:
    """Return one line about one error of pydantic, without the value where that may be a secret."""
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not detail["loc"]:
        return message
    field = str(detail["loc"][0]).removeprefix(PREFIX).lower()
    variables = [f"{PREFIX}{field.upper()}", *(["PORT"] if field == "port" else [])]
    source = next((name for name in variables if os.environ.get(name)), field)
    if detail["type"] == "value_error":  # ours: it says all
        return f"{source}: {message}"
    shown = "" if "token" in field or "secret" in field else f", not {detail['input']!r}"
    return f"{source}: {message.replace('Input', 'it', 1)}{shown}"


def _why(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "it is no UTF-8 text"
