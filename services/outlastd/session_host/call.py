"""What a request to an agent says beside its body: the agent, the session, the user, and the headers to pass on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import uuid4

from multidict import CIMultiDict, MultiMapping

from outlast.core.session import SessionKey
from outlast.headers import REQUEST_ID, SESSION_ID, USER_ID
from outlastd.front_door.request import Request
from outlastd.session_host.api_error import denied, invalid, not_found
from outlastd.session_host.arn import ENDPOINT, agent_of
from outlastd.session_host.config import AgentConfig, HostConfig
from outlastd.session_host.forwarding import HEADER_NAME, HEADER_VALUE, is_custom, to_agent
from outlastd.session_host.principal import Principal

#: In every answer; boto3 shows it as ``RequestId``.
ANSWERED_REQUEST_ID = "x-amzn-RequestId"
_SESSION_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{32,255}")
_ACCOUNT = re.compile(r"[0-9]{12}")
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,256}")
MAX_USER = 1_024


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an agent, from somebody who may ask it."""

    caller: Principal
    key: SessionKey
    agent: AgentConfig
    #: The user that the caller names, or is; empty for none.
    user: str
    request_id: str
    #: What the agent is sent.
    headers: CIMultiDict[str]

    @property
    def answer_headers(self) -> dict[str, str]:
        """What every answer says."""
        return {SESSION_ID: self.key.session_id, ANSWERED_REQUEST_ID: self.request_id}


def read_call(
    request: Request, segment: str, config: HostConfig, caller: Principal, *, websocket: bool = False
) -> Call:
    """Return what a request says to the agent that ``segment`` of its path names.

    A WebSocket may say in its query what others say in headers (contract section 1.4): a browser can send none.

    Raises:
        ApiError: 400 or 404 where it cannot be meant, 403 where the caller may not say that.
    """
    name = agent_of(segment, config.agents)
    check_query(request)
    headers = CIMultiDict(request.headers)
    if websocket:
        _read_query(request, headers)
    session_id = _only(headers, SESSION_ID)
    if session_id is None:
        session_id = f"{caller.session_prefix}{uuid4()}"
    key = SessionKey(name, checked_session_id(session_id))
    if not caller.may_name(name, key.session_id):
        raise denied()
    user = _user(headers, caller)
    request_id = _only(headers, REQUEST_ID) or str(uuid4())
    if not _REQUEST_ID.fullmatch(request_id):
        raise invalid(f"{REQUEST_ID} has 1 to 256 printable ASCII characters")
    agent = config.agents[name]
    passed = to_agent(headers.items(), agent.forward_headers)
    passed[SESSION_ID], passed[REQUEST_ID] = key.session_id, request_id
    if user:
        passed[USER_ID] = user
    return Call(caller, key, agent, user, request_id, passed)


def check_query(request: Request) -> None:
    """Check what the query says of the agent. Raises ApiError."""
    if request.parameter("qualifier") not in ("", ENDPOINT):
        raise not_found(f"There is no such endpoint: {ENDPOINT} is the only one")
    account = request.parameter("accountId")
    if account and not _ACCOUNT.fullmatch(account):
        raise invalid("accountId has 12 digits")


def checked_session_id(text: str) -> str:
    """Return ``text`` when it can be the id of a session (contract section 2.1). Raises ApiError 400."""
    if not _SESSION_ID.fullmatch(text):
        raise invalid("runtimeSessionId has 33 to 256 characters: a letter or digit, then letters, digits, - and _")
    return text


def named_session(request: Request) -> str:
    """Return the id of the session that a request has to name. Raises ApiError 400."""
    session_id = _only(request.headers, SESSION_ID)
    if not session_id:
        raise invalid(f"Name the session in the header {SESSION_ID}")
    return checked_session_id(session_id)


def _read_query(request: Request, headers: CIMultiDict[str]) -> None:
    for name, values in request.query.items():
        if name.lower() not in (SESSION_ID.lower(), USER_ID.lower()) and not is_custom(name):
            continue
        if not (HEADER_NAME.fullmatch(name) and all(map(HEADER_VALUE.fullmatch, values))):
            raise invalid("The query has what no header may have")
        if name not in headers:
            headers.extend((name, value) for value in values)


def _user(headers: CIMultiDict[str], caller: Principal) -> str:
    user = _only(headers, USER_ID)
    if user is None:
        return caller.user
    if not 1 <= len(user) <= MAX_USER:
        raise invalid(f"runtimeUserId has 1 to {MAX_USER:,} characters")
    if caller.user and user != caller.user:
        raise denied()
    return user


def _only(headers: MultiMapping[str], name: str) -> str | None:
    """Return the value of a header that may come once; None where it does not come."""
    values = headers.getall(name, [])
    if len(values) > 1:
        raise invalid(f"{name} comes {len(values)} times")
    return values[0] if values else None
