"""Keeps out everybody but the one who started this process and gave it a secret (OUTLAST_FRONT_DOOR_SECRET)."""

from __future__ import annotations

import hmac

from outlast.headers import SECRET
from outlastd.front_door.request import Refusal, Request


class Lock:
    """Opens for requests that show the secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def open(self, request: Request) -> None:
        """Let a request pass, and take the secret out of it: what comes after may show headers to the agent's code.

        Raises:
            Refusal: 403; it does not show the secret.
        """
        shown = request.headers.getall(SECRET, ())
        if len(shown) != 1 or not hmac.compare_digest(shown[0].encode("utf-8", "surrogateescape"), self._secret):
            raise Refusal(403, f"this process answers only to who shows its secret in {SECRET}")
        request.drop_header(SECRET)
