"""What commands ask of a session host, and what they have it do."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from outlast.cli.options import set_variables
from outlast.core.errors import InvalidField, OutlastError, SessionNotFound, StartRefused
from outlast.core.session import SessionKey
from outlast.settings.model import load_settings
from outlast.settings.values import without_password

DEFAULT_HOST = "http://127.0.0.1:8080"
#: Seconds that one question may take, and the end of a session, whose process has a grace.
TIMEOUT = 15.0
STOP_TIMEOUT = 300.0
#: Bytes of an answer at the most.
MAX_ANSWER = 64 * 1024 * 1024
_PAGE_SIZE = 1000
#: Pages of a list that are asked for at the most.
_MAX_PAGES = 1000

#: A session, or a page of them, as the session host gives it.
Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SessionHost:
    """Where a session host is, and what it is shown."""

    #: As it was given, for messages.
    url: str
    secure: bool
    name: str
    port: int | None
    #: What stands before the host's own paths.
    prefix: str = ""
    token: str = ""
    #: Whose signature on its certificate is trusted, a PEM file; None for the system's own.
    tls_ca: Path | None = None


class _Refused(Exception):
    """The session host says no, with a status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def session_host(url: str | None, token: str | None) -> SessionHost:
    """Return the session host that the options name, else the environment, else the default.

    Raises:
        StartRefused: the URL or a variable of the environment cannot be taken.
    """
    set_variables({"OUTLAST_TOKEN": token})
    settings = load_settings()
    shown = url or os.environ.get("OUTLAST_SESSION_HOST") or DEFAULT_HOST
    try:
        parts = urlsplit(shown if "://" in shown else f"http://{shown}")
        named = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
        if not named or parts.query or parts.fragment:
            raise ValueError
        secure, prefix = parts.scheme == "https", parts.path.rstrip("/")
        assert parts.hostname is not None
        return SessionHost(shown, secure, parts.hostname, parts.port, prefix, settings.token or "", settings.tls_ca)
    except ValueError:
        told = without_password(shown)
        raise StartRefused(f"{told!r} is no URL of a session host: write one such as {DEFAULT_HOST}") from None


def list_sessions(host: SessionHost, *, agent: str = "", states: Sequence[str] = (), limit: int) -> list[Answer]:
    """Return up to ``limit`` sessions, the newest first. Raises OutlastError."""
    found: list[Answer] = []
    token = ""
    for _ in range(_MAX_PAGES):
        query = [("agent", agent), *(("state", state) for state in states), ("pageToken", token)]
        query.append(("pageSize", str(min(limit - len(found), _PAGE_SIZE))))
        try:
            page = _ask(host, "GET", f"/sessions?{urlencode([pair for pair in query if pair[1]])}", TIMEOUT)
        except _Refused as refused:
            raise OutlastError(str(refused)) from None
        sessions = page.get("sessions")
        if not isinstance(sessions, list) or not all(isinstance(session, dict) for session in sessions):
            raise _no_session_host(host)
        found += sessions
        token = str(page.get("nextPageToken") or "")
        if not token or len(found) >= limit:
            return found[:limit]
    raise OutlastError(f"{host.url} has more sessions than can be looked through: name an agent with --agent")


def find(host: SessionHost, session: str, agent: str) -> SessionKey:
    """Return what ``AGENT/ID``, or an id of an agent, names; an id alone is looked for among all sessions.

    Raises:
        InvalidField: it names no session, or several.
        SessionNotFound: no session has the id.
        OutlastError: the session host cannot be asked.
    """
    its_agent, slash, session_id = session.removeprefix("sessions/").rpartition("/")
    if not session_id or "/" in its_agent or (slash and not its_agent):
        raise InvalidField("ID", f"{session!r} is no session: write its id, or AGENT/ID, as in the list")
    if slash and agent and its_agent != agent:
        raise InvalidField("ID", f"{session!r} is not of the agent {agent!r}")
    if slash or agent:
        return SessionKey(its_agent or agent, session_id)
    sessions = list_sessions(host, limit=sys.maxsize)
    agents = [str(found.get("agent")) for found in sessions if found.get("sessionId") == session_id]
    if not agents:
        raise SessionNotFound(f"a session {session_id}")
    if len(agents) > 1:
        raise InvalidField("ID", f"{session_id} is a session of {' and of '.join(sorted(agents))}: say with --agent")
    return SessionKey(agents[0], session_id)


def get_session(host: SessionHost, key: SessionKey) -> Answer:
    """Return a session with its tasks. Raises SessionNotFound, OutlastError."""
    try:
        return _ask(host, "GET", _path(key), TIMEOUT)
    except _Refused as refused:
        raise SessionNotFound(str(key)) if refused.status == 404 else OutlastError(str(refused)) from None


def stop_session(host: SessionHost, key: SessionKey) -> Answer:
    """End a session's process and all that it started; return the session as it stands then.

    Raises:
        SessionNotFound: there is no such session.
        OutlastError: it has ended before; or the session host cannot be asked, or says no.
    """
    try:
        return _ask(host, "POST", f"{_path(key)}/stop", STOP_TIMEOUT)
    except _Refused as refused:
        session = get_session(host, key) if refused.status == 404 else {}
        if session.get("state") != "STOPPED":
            raise OutlastError(str(refused)) from None
    reason = f" ({session['endReason']})" if session.get("endReason") else ""
    raise OutlastError(f"{key} has ended before{reason}")


def _path(key: SessionKey) -> str:
    return f"/sessions/{quote(key.agent, safe='')}/{quote(key.session_id, safe='')}"


def _ask(host: SessionHost, method: str, path: str, timeout: float) -> Answer:
    """Return what the session host answers. Raises _Refused, OutlastError."""
    # Neither a proxy nor a redirect: whoever else answers gets no token.
    connection = (
        http.client.HTTPSConnection(
            host.name, host.port, timeout=timeout, context=ssl.create_default_context(cafile=host.tls_ca)
        )
        if host.secure
        else http.client.HTTPConnection(host.name, host.port, timeout=timeout)
    )
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {host.token}"} if host.token else {})
    try:
        connection.request(method, host.prefix + path, headers=headers)
        response = connection.getresponse()
        body = response.read(MAX_ANSWER + 1)
    except TimeoutError:
        raise OutlastError(f"{host.url} did not answer within {timeout:g} s") from None
    except OSError as error:
        cure = "start one with `outlast host`, or name another with --host"
        why = error.strerror or type(error).__name__
        raise OutlastError(f"no session host answers at {host.url} ({why}): {cure}") from None
    except (http.client.HTTPException, ValueError):
        raise _no_session_host(host) from None
    finally:
        connection.close()
    if response.status in (401, 403):
        cure = (
            "set another OUTLAST_TOKEN or give another --token" if host.token else "set OUTLAST_TOKEN or give --token"
        )
        raise OutlastError(f"{host.url} refuses: {cure}")
    try:
        answer = json.loads(body) if len(body) <= MAX_ANSWER else None
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise _no_session_host(host)
    if response.status != 200:
        raise _Refused(response.status, str(answer.get("message") or f"{host.url} answers {response.status}"))
    return answer


def _no_session_host(host: SessionHost) -> OutlastError:
    return OutlastError(f"what answers at {host.url} is no session host: name one with --host")
