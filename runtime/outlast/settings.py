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
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, FilePath, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from outlast import limits
from outlast.core.errors import InvalidField, StartRefused
from outlast.core.validation import MAX_NAME, check_text

PREFIX = "OUTLAST_"
DEFAULT_PORT = 8080
DEFAULT_TASK_MANAGER_LISTEN = "127.0.0.1:50051"
_SQLITE = "sqlite:///"


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
    return text if text.startswith("unix:") else _address(text.removeprefix("http://").removesuffix("/"))


def _store(url: str) -> str:
    if url.startswith(("postgresql:", "postgres:")):
        raise ValueError("PostgreSQL is not supported yet; write sqlite:///PATH")
    path = url.removeprefix(_SQLITE)
    if not url.startswith(_SQLITE) or not path.strip("/"):
        raise ValueError(f"{url!r} is no store; write sqlite:///PATH (relative) or sqlite:////PATH (absolute)")
    if ":memory:" in path:
        raise ValueError("a store in memory would forget what was acknowledged; write sqlite:///PATH")
    return url


def _agent(name: str) -> str:
    try:
        return check_text("agent", name, MAX_NAME, required=True)
    except InvalidField as error:
        raise ValueError(error.why) from None


def _token(text: str) -> str:
    # It travels in an HTTP header, where anything else would be refused or changed on its way.
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError("a token is made of printable ASCII characters without spaces")
    return text


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


def default_host() -> str:
    """Return where the front door listens when nobody says: everywhere in a container, else on this machine only."""
    container = os.path.exists("/.dockerenv") or os.environ.get("DOCKER_CONTAINER")
    return "0.0.0.0" if container else "127.0.0.1"


Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Bytes = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Token = Annotated[str, AfterValidator(_token)]


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
    agent: Annotated[str, AfterValidator(_agent)] = Field(default_factory=lambda: default_agent(program_file()))
    #: Where the front door listens.
    host: str = Field(default_factory=default_host)
    #: None when nobody asked for one: then 8080. ``PORT`` is read where OUTLAST_PORT is not set.
    port: Annotated[int, Field(ge=0, lt=65_536)] | None = Field(
        default=None, validation_alias=AliasChoices("OUTLAST_PORT", "PORT")
    )
    #: The task manager to use, ``HOST:PORT`` or ``unix:PATH``; None for an embedded one.
    task_manager: Annotated[str, AfterValidator(_target)] | None = None
    #: Where a task manager listens, ``HOST:PORT``; None when nobody asked: then 127.0.0.1:50051, or the next free port.
    task_manager_listen: Annotated[str, AfterValidator(_address)] | None = None
    #: Where tasks are kept, ``sqlite:///PATH``.
    store: Annotated[str, AfterValidator(_store)] = Field(
        default_factory=lambda data: default_store(data["agent"], program_file())
    )

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
    allowed_origins: Annotated[
        tuple[Annotated[str, AfterValidator(_origin)], ...], NoDecode, BeforeValidator(_lower_case_list)
    ] = ()

    #: Names under which a listener of this machine's may be asked: a proxy passes them on.
    allowed_hosts: Annotated[
        tuple[Annotated[str, AfterValidator(_host_name)], ...], NoDecode, BeforeValidator(_lower_case_list)
    ] = ()

    #: How long an answer waits for its tasks to be durable after the handler has run, seconds.
    ack_timeout: Seconds = limits.ACK_TIMEOUT
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
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] | None = None

    #: The largest request body, bytes.
    max_body_bytes: Bytes = limits.MAX_BODY_BYTES
    #: How many invocations may be under way at a time.
    max_invocations: Count = limits.MAX_INVOCATIONS
    #: The largest result of a task, bytes of JSON.
    max_result_bytes: Bytes = limits.MAX_RESULT_BYTES
    #: How many synchronous entrypoints may run at a time.
    max_call_threads: Count = limits.MAX_CALL_THREADS
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
    def store_path(self) -> Path:
        """The file of the SQLite store, absolute."""
        return Path(self.store.removeprefix(_SQLITE)).expanduser().absolute()


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
    return f"{_SQLITE}{folder / '.outlast' / stem}.db"


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
    shown = "" if "token" in field else f", not {detail['input']!r}"
    return f"{source}: {message.replace('Input', 'it', 1)}{shown}"


def _why(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "it is no UTF-8 text"
