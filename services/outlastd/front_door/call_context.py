"""What a request's headers say of the invocation that it makes (contract section 1.5)."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from functools import lru_cache

from outlast import headers as names
from outlast.core.errors import InvalidField
from outlast.core.validation import MAX_ID, check_text
from outlast.headers import is_forwardable_header
from outlastd.front_door.request import Refusal, Request


def request_id_of(request: Request) -> str:
    """Return the id that the request brings, or a new one. Raises Refusal when it is no text to keep."""
    return _id(request, names.REQUEST_ID) or _new_id()


def session_id_of(request: Request) -> str:
    """Return the session that the request names; empty for none. Raises Refusal when it is no text to keep."""
    return _id(request, names.SESSION_ID)


def credentials_of(request: Request) -> Mapping[str, str]:
    """Return the headers that identity helpers ask for; what is not there is left out."""
    asked = (names.IDENTITY_TOKEN, names.WORKLOAD_ACCESS_TOKEN, names.OAUTH2_CALLBACK_URL)
    return {name: value for name in asked if (value := request.headers.get(name))}


def headers_of(request: Request) -> dict[str, str] | None:
    """Return the headers that may reach agent code, in lower case but for ``Authorization``; None for none."""
    forwarded = {}
    for name, value in request.headers.items():
        if _forwardable(name):
            forwarded[_AS_SHOWN.get(lower := name.lower(), lower)] = value
    return forwarded or None


_AS_SHOWN = {names.AUTHORIZATION.lower(): names.AUTHORIZATION}

#: The same few names come with every request; the bound is for a client that makes names up.
_forwardable = lru_cache(maxsize=1024)(is_forwardable_header)


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
    return str(uuid.UUID(int=_random.getrandbits(128), version=4))
