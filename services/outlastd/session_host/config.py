"""What a session host is told: its agents, its limits, who may call. Read from a file by config_file.py.

Durations are seconds in the code, and ``15m`` or ``8h`` in the file; sizes are bytes, and ``512MB`` in the file.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal

import attrs

from outlast import limits
from outlast.settings.kinds import After, WrongKey
from outlast.settings.values import ListenAddress
from outlastd.session_host.config_machine import (
    AgentCard,
    Command,
    ExistingFile,
    ExistingFolder,
    Folder,
    Python,
    SecretFile,
    SetVariable,
    Store,
    Users,
    read_secret,
)
from outlastd.session_host.config_values import (
    AccessKey,
    AgentName,
    Algorithms,
    Count,
    Duration,
    Flag,
    ForwardHeaders,
    Grace,
    GuestVariable,
    HttpsUrl,
    NonEmpty,
    PublicUrl,
    SessionPrefix,
    Size,
    Text,
    Word,
    some,
)

#: How long a session may idle where nobody says (contract section 2.6).
IDLE_TIMEOUT = 900.0
#: Where a host listens where nobody says.
DEFAULT_LISTEN = "127.0.0.1:8080"


@attrs.frozen(kw_only=True)
class AgentConfig:
    """One agent: a program, and how its sessions live. Exactly one of ``file`` and ``command`` is given."""

    #: A Python program: it is run as ``outlast run`` runs it. Relative to the configuration's folder.
    file: ExistingFile | None = None
    #: Any program that speaks the container contract. ``{port}`` stands for the port that it has to listen on (it is in
    #: the variable PORT too), ``{socket}`` for the path of a Unix socket that it may serve instead.
    command: Command = ()
    #: ``original`` runs ``file`` with the SDK that it was written for, which then has to be installed; None is ours.
    runtime: Literal["outlast", "original"] | None = None
    #: The Python to run ``file`` with; None for the host's own.
    python: Python | None = None
    #: The folder that processes start in; None for the session's own folder.
    directory: ExistingFolder | None = None
    #: Variables of its processes, and the host's own that are passed on to them.
    environment: dict[GuestVariable, Word] = attrs.field(factory=dict)
    pass_environment: tuple[GuestVariable, ...] = ()
    #: Request headers that reach the agent, beside those of the contract.
    forward_headers: ForwardHeaders = ()
    #: A file that answers GetAgentCard; None to ask the agent.
    agent_card: AgentCard | None = None
    #: Whether InvokeAgentRuntimeCommand may run commands in its sessions.
    commands: Flag = False
    #: However busy it is, a session lives no longer.
    max_lifetime: Duration = 28_800.0
    #: How long a session may do nothing; where nobody says, no longer than it may live (contract section 2.6).
    idle_timeout: Duration = attrs.field(
        default=attrs.Factory(lambda self: min(IDLE_TIMEOUT, self.max_lifetime), takes_self=True)
    )
    #: How long a process may take to answer its first ping.
    start_timeout: Duration = 120.0
    #: How long a process has to end after SIGTERM.
    stop_grace: Grace = 8.0
    #: How long pings may fail before the session is ended.
    unhealthy_after: Duration = 30.0
    max_sessions: Count = 1_000
    max_memory: Size | None = None
    max_open_files: Count | None = None
    max_processes: Count | None = None

    def __attrs_post_init__(self) -> None:
        if self.idle_timeout > self.max_lifetime:
            raise WrongKey("idle_timeout", "idle_timeout must be less than or equal to max_lifetime")
        if (self.file is None) == (not self.command):
            raise ValueError("give it either a file or a command")
        if self.command and not (self.python is None and self.runtime is None):
            raise ValueError("python and runtime say how a file is run; a command says it itself")


@attrs.frozen(kw_only=True)
class KeyConfig:
    """An access key of AWS's kind, and whoever it stands for."""

    name: NonEmpty
    access_key: AccessKey
    #: The secret itself stands in a variable of the host or in a file, never in the configuration.
    secret_variable: SetVariable | None = None
    secret_file: SecretFile | None = None
    operator: Flag = False
    agents: tuple[AgentName, ...] | None = None
    session_prefix: SessionPrefix = ""
    user: Text = ""

    def __attrs_post_init__(self) -> None:
        if (self.secret_variable is None) == (self.secret_file is None):
            raise ValueError("name its secret by either secret_variable or secret_file")

    def read_secret(self) -> str:
        """Return the secret. Raises ValueError when it cannot be had."""
        if self.secret_file is not None:
            return read_secret(self.secret_file)
        secret = os.environ.get(self.secret_variable or "")
        if not secret:
            raise ValueError(f"the variable {self.secret_variable} is not set")
        return secret


@attrs.frozen(kw_only=True)
class JwtConfig:
    """Bearer tokens of an identity provider; whoever shows one is bound to the user in ``user_claim``."""

    issuer: NonEmpty
    audience: NonEmpty
    #: An https URL. It is fixed: nothing in a token chooses where keys come from.
    jwks_url: HttpsUrl
    #: Whose signature on the certificate there is trusted, a PEM file; None for the system's own.
    jwks_ca: ExistingFile | None = None
    algorithms: Algorithms = ("RS256", "ES256")
    user_claim: NonEmpty = "sub"
    #: A claim that names what the ids of the caller's sessions begin with; empty for none.
    session_prefix_claim: str = ""
    #: A claim and a value of it that make an operator; empty for none.
    operator_claim: str = ""
    operator_value: str = ""

    def __attrs_post_init__(self) -> None:
        if bool(self.operator_claim) != bool(self.operator_value):
            raise ValueError("operator_claim and operator_value go together")


@attrs.frozen(kw_only=True)
class AuthConfig:
    """Who may call. With neither keys nor JWT only this machine may, without credentials."""

    keys: tuple[KeyConfig, ...] = ()
    jwt: JwtConfig | None = None
    #: The region in the scope of signatures; empty for any.
    region: str = ""


@attrs.frozen(kw_only=True)
class HostConfig:
    """The whole of it."""

    agents: Annotated[dict[AgentName, AgentConfig], After(some)]
    listen: ListenAddress = DEFAULT_LISTEN
    #: How clients reach the host, without a path; None for the plain HTTP of whatever name they use.
    public_url: PublicUrl | None = None
    #: The owner of the sessions in the store; None for the name that the machine had when the folder was made.
    name: NonEmpty | None = None
    #: Where the host keeps what is its own; None for ``.outlast`` beside the configuration.
    folder: Folder | None = None
    #: None for ``store/host.db`` in the folder.
    store: Store | None = None
    #: Where TaskService answers; None for 127.0.0.1:50051 or the next free port.
    task_manager_listen: ListenAddress | None = None
    #: The users that sessions run as, such as ``61184-65519``; ``auto`` for those when the host runs as root, ``off``.
    users: Users = "auto"
    auth: AuthConfig = AuthConfig()
    #: Whether to log what AgentCore itself would not have allowed.
    strict: Flag = False
    max_body_bytes: Size = limits.MAX_BODY_BYTES
    #: Requests at a time, streams among them, and as many WebSocket connections.
    max_requests: Count = 1_000
    #: Processes that start at a time; others wait.
    max_starting: Count = 8
    #: Seconds between two pings of a session, and that one may take.
    ping_interval: Duration = 2.0
    ping_timeout: Duration = 5.0
    #: How long an agent may take to begin its answer.
    invocation_timeout: Duration = 900.0
    #: How long the answer to an invocation is kept for a repeat of it, and how large it may be for that.
    repeat_seconds: Grace = 300.0
    repeat_bytes: Size = 10 * 1024 * 1024
    #: How long ended sessions are kept in the record.
    session_retention: Duration = 7 * 86_400.0
