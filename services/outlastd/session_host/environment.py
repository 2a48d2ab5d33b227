"""The variables of a session's process: a list of what may be there, and nothing of the host's beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from outlast.core.session import SessionKey
from outlast.settings.defaults import DEFAULT_PORT
from outlastd.session_host.config import AgentConfig
from outlastd.session_host.guest_client import Endpoint

#: Where programs and certificates are, and how people are spoken to.
_OF_THE_MACHINE = frozenset({"PATH", "LANG", "LANGUAGE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"})
_METRICS_EXPORTER = "OTEL_METRICS_EXPORTER"
#: Where traces and metrics go. The headers of an exporter hold its key: they are passed on only where the
#: configuration names them.
_OF_TELEMETRY = frozenset(
    {"OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_PROPAGATORS"}
    | {"OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_BSP_SCHEDULE_DELAY", "OTEL_METRIC_EXPORT_INTERVAL"}
    | {f"OTEL_{signal}_EXPORTER" for signal in ("TRACES", "METRICS", "LOGS")}
    | {
        f"OTEL_EXPORTER_OTLP_{signal}{option}"
        for signal in ("", "TRACES_", "METRICS_", "LOGS_")
        for option in ("ENDPOINT", "PROTOCOL", "INSECURE", "CERTIFICATE", "TIMEOUT", "COMPRESSION")
    }
)
#: How an agent behaves, where the host was told so for all of them (outlast.settings.model).
_OF_AGENTS = frozenset(
    f"OUTLAST_{name}"
    for name in (
        "LOG_LEVEL",
        "LOGGER_NAME",
        "LOG_CAPTURE",
        "LOG_KEYS",
        "TRACE_URL",
        "ERROR_DETAIL",
        "BUSY_INVOCATIONS",
        "ACK_TIMEOUT",
        "CANCEL_GRACE",
        "BLOCKED_AFTER",
        "MAX_INVOCATIONS",
        "MAX_RESULT_BYTES",
        "MAX_CALL_THREADS",
        "MAX_TASKS",
        "MAX_TASK_THREADS",
    )
)
#: Seconds of the grace that an agent leaves for its own end; of a short grace it leaves half.
_LAST_STEPS = 2.0
#: What a user without a name is called: programs that ask the system for one would fail.
_NAME = "outlast"


def passed_on(host: Mapping[str, str]) -> dict[str, str]:
    """Return those of the host's variables that every agent gets."""
    harmless = {name: value for name, value in host.items() if _is_harmless(name, value)}
    if _METRICS_EXPORTER in harmless:
        harmless[_METRICS_EXPORTER] = _without_page(harmless[_METRICS_EXPORTER])
    return harmless


def make_environment(
    key: SessionKey,
    agent: AgentConfig,
    host: Mapping[str, str],
    *,
    folder: Path,
    endpoint: Endpoint,
    task_manager: str,
    token: str,
    max_body_bytes: int,
    nameless: bool = False,
) -> dict[str, str]:
    """Return the whole environment of a session's process.

    ``host`` is the environment of the host, ``folder`` the session's own, ``nameless`` whether its user is known to
    nobody, ``token`` what opens its tasks and no others. What the configuration says wins, but over what only the host
    can know.
    """
    own = {name: host[name] for name in agent.pass_environment if name in host} | agent.environment
    return (
        {"PATH": os.defpath}
        | passed_on(host)
        | {
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "PYTHONUNBUFFERED": "1",
            "OUTLAST_MAX_BODY_BYTES": str(max_body_bytes),
        }
        | ({"USER": _NAME, "LOGNAME": _NAME} if nameless else {})
        | own
        | {
            "OUTLAST_AGENT": key.agent,
            "OUTLAST_SESSION": key.session_id,
            "OUTLAST_TASK_MANAGER": task_manager,
            "OUTLAST_TOKEN": token,
            "OUTLAST_WORKER_TOKEN": token,
            "OUTLAST_FRONT_DOOR_SECRET": endpoint.secret,
            "OUTLAST_SHUTDOWN_GRACE": f"{max(agent.stop_grace - _LAST_STEPS, agent.stop_grace / 2):g}",
        }
        | (
            {"PORT": str(endpoint.port), "OUTLAST_HOST": "127.0.0.1"}
            if endpoint.socket is None
            # Programs may ask for the port before they are told that it is a socket: the contract's.
            else {"OUTLAST_FRONT_DOOR_SOCKET": str(endpoint.socket), "PORT": str(DEFAULT_PORT)}
        )
    )


def _without_page(exporters: str) -> str:
    """Return the exporters of metrics without the page for Prometheus: a listener, of which the host has the one."""
    return ",".join(name for name in exporters.split(",") if name.strip().lower() != "prometheus") or "none"


def _is_harmless(name: str, value: str) -> bool:
    if name.endswith("ENDPOINT") and "@" in value:  # a name and a password
        return False
    return name in _OF_THE_MACHINE | _OF_TELEMETRY | _OF_AGENTS or name.startswith("LC_")
