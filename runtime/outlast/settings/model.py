"""The settings: read from the environment once, checked once, with errors that name the variable.

Every field is the variable ``OUTLAST_`` and its name in capitals. Precedence: the command line (which sets the
variables), the environment, an argument in code, the default. The environment wins over code because whoever deploys a
program decides where it listens, not who wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from outlast import limits
from outlast.core.errors import StartRefused
from outlast.core.policy import DEFAULT_POLICY
from outlast.settings.defaults import default_agent, default_host, default_store, program_file
from outlast.settings.errors import told
from outlast.settings.given import PREFIX, given
from outlast.settings.groups import AGENT, COMMANDS, HOST, MANAGER, TOLD, Group
from outlast.settings.kinds import read
from outlast.settings.values import (
    POSTGRESQL,
    SQLITE,
    AgentName,
    Bytes,
    Count,
    ExistingFile,
    HostNames,
    LeaseSeconds,
    ListenAddress,
    LogKeys,
    LogLevel,
    Origins,
    Port,
    Seconds,
    SessionId,
    StoreUrl,
    Target,
    Token,
    TraceUrl,
    without_password,
)

_AGENT = Group("Agent and front door")
_MANAGER = Group("Task manager")
_STORE = Group("Store")
_SECURITY = Group("Security")
_TIME = Group("Tasks and time")
_LOG = Group("Log and traces")
_LIMITS = Group("Limits")


@attrs.frozen(kw_only=True)
class Settings:
    """How a process of outlast is set up. Made by ``load_settings``."""

    agent: AgentName = _AGENT(
        "The agent name, part of every task. Traces and metrics have it as their `service.name` where OpenTelemetry's "
        "own variables give none.",
        AGENT | MANAGER | HOST,
        factory=lambda: default_agent(program_file()),
        shown="the stem of the program's file",
    )
    container: bool = _AGENT(
        "Listens on all addresses where nobody says, as in a container: the front door, the session host, a task "
        "manager apart, and an embedded one once callers need a token. On in the image.",
        AGENT | MANAGER | HOST,
        default=False,
    )
    host: str = _AGENT(
        "The address that the front door, or the session host, listens on.",
        AGENT | HOST,
        default=attrs.Factory(lambda self: default_host(container=self.container), takes_self=True),
        shown="`127.0.0.1`; `0.0.0.0` in a container",
    )
    port: Port | None = _AGENT(
        "Its port; 0 for any that is free. `PORT` is read where `OUTLAST_PORT` is not set.",
        AGENT | HOST,
        default=None,
        shown="`8080`, or the next free one where nobody asked",
        variables=("OUTLAST_PORT", "PORT"),
    )
    front_door_socket: Path | None = _AGENT(
        "A Unix socket that the front door serves instead of an address; only this user may open it. A session host "
        "sets it for its processes.",
        AGENT,
        default=None,
    )
    front_door_secret: Token | None = _AGENT(
        "What every request to the front door, a ping too, has to show in `X-Outlast-Secret`; without it 403. The "
        "agent's code does not see that header. A session host sets it for its processes.",
        AGENT,
        default=None,
        secret=True,
    )
    session: SessionId = _AGENT(
        "The one session that this process works for: it is given tasks of that one only, and an invocation of another "
        "is 403. A session host sets it for its processes.",
        AGENT,
        default="",
        shown="any",
    )
    allowed_origins: Origins = _AGENT(
        "Origins of web pages that may talk to the front door or the session host, such as `https://example.com`, with "
        "commas between.",
        AGENT | HOST,
        default=(),
    )
    allowed_hosts: HostNames = _AGENT(
        "Names, beside this machine's own, that a `Host` may have where the listener is on this machine only: what a "
        "proxy here passes on. With commas between.",
        AGENT | HOST,
        default=(),
    )
    busy_invocations: bool = _AGENT("An invocation under way makes `/ping` say HealthyBusy.", AGENT, default=False)
    error_detail: bool = _AGENT(
        "A 500 tells the caller what the handler raised, as the contract has it. Off in the image.", AGENT, default=True
    )

    task_manager: Target | None = _MANAGER(
        "The task manager to use, `HOST:PORT` or `unix:PATH`; several replicas with commas between.",
        AGENT | COMMANDS,
        default=None,
        shown="an embedded one",
    )
    task_manager_listen: ListenAddress | None = _MANAGER(
        "Where a task manager listens, `HOST:PORT`.",
        MANAGER | HOST | COMMANDS,
        default=None,
        shown="`127.0.0.1:50051`, or the next free port where nobody asked",
    )

    store: StoreUrl = _STORE(
        "Where tasks are kept: `sqlite:///PATH` (relative), `sqlite:////PATH` (absolute) or "
        "`postgresql://USER@HOST:PORT/DATABASE` ([PostgreSQL](postgresql.md)). By default `outlast task-manager` has "
        "`.outlast/task-manager.db` in the current folder, and a session host `store/host.db` in its own.",
        MANAGER | HOST,
        default=attrs.Factory(lambda self: default_store(self.agent, program_file()), takes_self=True),
        shown="`.outlast/AGENT.db` beside the program",
        secret=True,
    )
    store_file: Path | None = _STORE(
        "A file that holds the store's URL, for one with a password in it.", MANAGER | HOST, default=None
    )

    token: Token | None = _SECURITY(
        "What callers of TaskService and of `/tasks` show: `Authorization: Bearer …`. A session host's operator "
        "shows it too.",
        AGENT | MANAGER | HOST | COMMANDS,
        default=None,
        secret=True,
    )
    token_file: Path | None = _SECURITY(
        "A file that holds `OUTLAST_TOKEN`.", AGENT | MANAGER | HOST | COMMANDS, default=None
    )
    worker_token: Token | None = _SECURITY(
        "What workers show to a task manager; [tokens of sessions](grpc.md#tokens-of-sessions) are made from it.",
        AGENT | MANAGER | HOST,
        default=None,
        secret=True,
    )
    worker_token_file: Path | None = _SECURITY(
        "A file that holds `OUTLAST_WORKER_TOKEN`.", AGENT | MANAGER | HOST, default=None
    )
    tls_cert: Path | None = _SECURITY("The certificate chain of the gRPC server, a PEM file.", MANAGER, default=None)
    tls_key: Path | None = _SECURITY("Its key, a PEM file.", MANAGER, default=None)
    tls_ca: ExistingFile | None = _SECURITY(
        "Whose signature on a server's certificate is trusted, a PEM file. With it the way to a task manager is TLS.",
        AGENT | COMMANDS,
        default=None,
    )
    insecure: bool = _SECURITY("Serve gRPC beyond this machine without a token.", MANAGER, default=False)

    ack_timeout: Seconds = _TIME(
        "How long an answer waits for its tasks to be durable after the handler has run; then 424.",
        AGENT,
        default=limits.ACK_TIMEOUT,
    )
    shutdown_grace: Seconds = _TIME("How long running tasks may go on after SIGTERM.", AGENT | HOST, default=8.0)
    blocked_after: Seconds = _TIME(
        "How long code may block the loop that it runs on before the log names its line; 0 for as long as it likes.",
        AGENT,
        default=1.0,
    )
    lease_ttl: LeaseSeconds = _TIME(
        "How long a worker's lease holds without a sign of life: so long, and a second, it takes to notice that one is "
        "lost; 0.5 s at the least.",
        MANAGER,
        default=DEFAULT_POLICY.lease_ttl.total_seconds(),
    )
    cancel_grace: Seconds = _TIME(
        "How long code may take to follow a forced cancel, and a task tracked by hand any cancel, before the task is "
        "ended.",
        MANAGER,
        default=DEFAULT_POLICY.cancel_grace.total_seconds(),
    )
    queue_timeout: Seconds = _TIME(
        "How long a task may wait for a worker, where it says nothing itself; 0 for ever.", MANAGER, default=86_400.0
    )
    retention: Seconds = _TIME(
        "How long a task that has ended is kept, with its result and events; 0 for ever.", MANAGER, default=7 * 86_400.0
    )

    logger_name: str | None = _LOG(
        "The logger name of the contract's lines.",
        AGENT | MANAGER | HOST,
        default=None,
        shown="`bedrock_agentcore.app`",
    )
    log_level: LogLevel | None = _LOG(
        "The least level that is logged: DEBUG, INFO, WARNING or ERROR.",
        AGENT | MANAGER | HOST,
        default=None,
        shown="`INFO`; for the contract's lines `DEBUG` with `App(debug=True)`",
    )
    log_capture: bool | None = _LOG(
        "What the program and its libraries log goes out as the same JSON lines.",
        AGENT | MANAGER | HOST,
        default=None,
        shown="on for `outlast run`, `task-manager` and `host`, off for `app.run()`",
    )
    log_keys: LogKeys = _LOG(
        "Other names for the keys of log lines, such as `level=severity,traceId=trace_id`.",
        AGENT | MANAGER | HOST,
        factory=dict,
    )
    trace_url: TraceUrl | None = _LOG(
        "Where a trace is looked at, such as `http://127.0.0.1:16686` for a Jaeger, or a URL with `{trace_id}` where "
        "its id belongs.",
        AGENT | COMMANDS,
        default=None,
    )

    max_body_bytes: Bytes = _LIMITS("The largest request body.", AGENT, default=limits.MAX_BODY_BYTES)
    max_invocations: Count = _LIMITS(
        "Invocations at a time, streams and WebSocket connections among them; beyond that 429.",
        AGENT,
        default=limits.MAX_INVOCATIONS,
    )
    max_result_bytes: Bytes = _LIMITS("The largest result of a task, as JSON.", AGENT, default=limits.MAX_RESULT_BYTES)
    max_call_threads: Count = _LIMITS(
        "Sync entrypoints at a time; beyond that 429.", AGENT, default=limits.MAX_CALL_THREADS
    )
    max_task_threads: Count = _LIMITS(
        "Sync tasks at a time; beyond that they wait, and beyond 10,000 that wait `.start()` raises `BacklogFull`.",
        AGENT,
        default=limits.MAX_TASK_THREADS,
    )
    max_tasks: Count = _LIMITS(
        "Tasks that live in this process before it is given no more from outside.", AGENT, default=limits.MAX_TASKS
    )
    max_backlog: Count = _LIMITS(
        "Tasks of one agent that may wait for a worker; beyond that RESOURCE_EXHAUSTED.",
        MANAGER,
        default=DEFAULT_POLICY.max_backlog,
    )

    #: The names of those that somebody has given; the others have their defaults.
    given: frozenset[str] = attrs.field(default=frozenset(), repr=False)

    def __attrs_post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("OUTLAST_TLS_CERT and OUTLAST_TLS_KEY go together: set both or none")

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


#: The fields that are settings, by their names.
FIELDS: Mapping[str, attrs.Attribute[Any]] = {
    field.name: field for field in attrs.fields(attrs.resolve_types(Settings)) if TOLD in field.metadata
}
#: The variables that set each of them; the first of them wins.
VARIABLES = {name: field.metadata[TOLD].variables or (f"{PREFIX}{name.upper()}",) for name, field in FIELDS.items()}


def load_settings(**code: Any) -> Settings:
    """Read and check the settings. ``code`` holds arguments of the program: the environment wins, None is not given.

    ``program`` among them is the program's file, where that is not the one that Python was started with.

    Raises:
        StartRefused: something cannot be taken; one line that names the variable.
    """
    try:
        found = given(VARIABLES, code)
        settings = Settings(**_read(found), given=frozenset(found))
        # What is made of the machine and the program may be nothing that can be taken.
        _read({name: getattr(settings, name) for name in ("agent", "store") if name not in found})
    except ValueError as error:
        raise StartRefused(str(error)) from None
    return settings


def _read(found: Mapping[str, object]) -> dict[str, Any]:
    """Return the values of settings by their names. Raises ValueError: one line about all that is wrong."""
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for name, field in FIELDS.items():
        try:
            if name in found:
                values[name] = read(field.type, found[name])
        except Exception as error:
            wrong += told(name, VARIABLES[name], error, secret=field.metadata[TOLD].secret)
    if wrong:
        raise ValueError("; ".join(wrong))
    return values
