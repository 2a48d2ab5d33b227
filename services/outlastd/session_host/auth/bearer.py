"""Bearer tokens, where a request may carry one."""

from __future__ import annotations

import base64
import binascii

from outlast.headers import AUTHORIZATION
from outlastd.front_door.request import Request

#: Browsers cannot set headers on a WebSocket: the token goes among the subprotocols (contract section 4.7).
SUBPROTOCOL = "base64UrlBearerAuthorization"


def bearer_of(request: Request) -> str | None:
    """Return the bearer token that a request shows; None when it shows none, empty when it cannot be read."""
    scheme, _, token = request.headers.get(AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    if request.headers.get("Upgrade", "").lower() != "websocket":
        return None
    offered = [
        protocol.strip()
        for value in request.headers.getall("Sec-WebSocket-Protocol", ())
        for protocol in value.split(",")
        if protocol.strip().startswith(f"{SUBPROTOCOL}.")
    ]
    if not offered:
        return None
    return _decoded(offered[0].partition(".")[2]) if len(offered) == 1 else ""


def _decoded(encoded: str) -> str:
    try:
        padded = encoded + "=" * (-len(encoded) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return ""
