"""What a request's headers say of the invocation that it makes (contract section 1.5)."""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextvars import Context, copy_context
from functools import lru_cache

from outlast import headers as names
from outlast.baggage import HEADER as BAGGAGE
from outlast.baggage import NO_BAGGAGE, Baggage, parse_baggage
from outlast.context import Invocation, current_invocation
from outlast.core.errors import InvalidField
from outlast.core.validation import MAX_ID, check_text
from outlast.telemetry import lines
from outlast.telemetry.invocation_span import InvocationSpan, invocation_span
from outlastd.front_door.request import Refusal, Request

#: The headers that are read here, in lower case; those of traces may reach agent code too.
_READ = frozenset(
    name.lower()
    for name in (
        names.REQUEST_ID,
        names.SESSION_ID,
        names.IDENTITY_TOKEN,
        names.WORKLOAD_ACCESS_TOKEN,
        names.OAUTH2_CALLBACK_URL,
        BAGGAGE,
    )
)
_NO_BUNDLE = "No config bundle ref found in request baggage"


def begin_invocation(
    request: Request, own_session: str = "", *, method: str = "POST", path: str = "/invocations"
) -> tuple[Invocation, InvocationSpan]:
    """Return the invocation that a request makes and its span, which has begun.

    ``own_session`` is the one session that this process works for; empty for any.

    Raises:
        Refusal: an id is none, or the session is another one.
    """
    if any(map(_says_something, request.headers)):
        return _begin(request, own_session, method, path)
    request_id = _new_id()
    span = invocation_span(request.headers, session_id=own_session, request_id=request_id, method=method, path=path)
    invocation = Invocation(request_id, own_session, span.trace_context)
    lines.debug(_NO_BUNDLE, invocation=invocation)
    return invocation, span


def _begin(request: Request, own_session: str, method: str, path: str) -> tuple[Invocation, InvocationSpan]:
    request_id, session_id = request_id_of(request), session_id_of(request)
    if own_session and session_id not in ("", own_session):
        raise Refusal(403, "this process works for another session (OUTLAST_SESSION)")
    session_id = session_id or own_session
    baggage = _baggage_of(request, request_id, session_id)
    span = invocation_span(
        request.headers, session_id=session_id, request_id=request_id, method=method, path=path, baggage=baggage
    )
    invocation = Invocation(
        request_id, session_id, span.trace_context, credentials_of(request), headers_of(request), baggage
    )
    if baggage.config_bundle is not None:
        lines.write("INFO", f"Received config bundle ref: {baggage.config_bundle.bundle_id}", invocation=invocation)
    else:
        lines.debug(_NO_BUNDLE, invocation=invocation)
    return invocation, span


@lru_cache(maxsize=1024)  # the same few names come with every request; the bound is for a client that makes names up
def _says_something(name: str) -> bool:
    """Return whether a header says anything of the invocation to us, or may reach agent code."""
    return name.lower() in _READ or names.forwarded_headers([(name, "")]) is not None


def handler_context(invocation: Invocation, span: InvocationSpan) -> Context:
    """Return the context that a handler runs in: it says what for."""
    context = copy_context()
    context.run(current_invocation.set, invocation)
    if span.recording:
        context.run(span.make_current)
    return context


def request_id_of(request: Request) -> str:
    """Return the id that the request brings, or a new one. Raises Refusal when it is no text to keep."""
    return _id(request, names.REQUEST_ID) or _new_id()


def session_id_of(request: Request) -> str:
    """Return the session that the request names; empty for none. Raises Refusal when it is no text to keep."""
    return _id(request, names.SESSION_ID)


def credentials_of(request: Request) -> Mapping[str, str]:
    """Return the headers that identity helpers ask for; what is not there is left out."""
    return names.credentials(request.headers)


def headers_of(request: Request) -> dict[str, str] | None:
    """Return the headers that may reach agent code, in lower case but for ``Authorization``; None for none."""
    return names.forwarded_headers((name.lower(), value) for name, value in request.headers.items())


def _baggage_of(request: Request, request_id: str, session_id: str) -> Baggage:
    given = request.headers.getall(BAGGAGE, ())
    if not given:
        return NO_BAGGAGE
    try:
        return parse_baggage(given)
    except Exception as error:  # what hears its warnings may be the program's own
        why = f"{type(error).__name__}: {error} — raw baggage: {given[0]!r}"
        lines.write("WARNING", f"Failed to parse baggage: {why}", invocation=Invocation(request_id, session_id))
        return NO_BAGGAGE


def _id(request: Request, header: str) -> str:
    value = request.headers.get(header, "")
    if len(value) <= MAX_ID and value.isascii() and value.isprintable():
        return value
    try:
        return check_text(header, value, MAX_ID)
    except InvalidField as error:
        raise Refusal(400, "Invalid header", details=error.message) from None


#: Request ids are nobody's secret, and asking the kernel for the bits of each would show in the rate. A generator of
#: our own: the program may seed the shared one.
_random = random.Random()


def _new_id() -> str:
    """Return a UUID of version 4 (RFC 9562), as ``str(uuid.uuid4())`` would, without the object between."""
    digits = f"{_random.getrandbits(128):032x}"
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
