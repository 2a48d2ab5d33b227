"""The host's own token, OUTLAST_TOKEN, which makes an operator."""

from __future__ import annotations

import hmac

from outlastd.session_host.principal import Principal

OPERATOR = Principal("operator", operator=True)


class OperatorToken:
    """Knows the token; where there is none, nothing is it."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def is_shown(self, bearer: str) -> bool:
        """Tell whether a bearer token is it, in a time that does not tell how much of it is right."""
        return bool(self._token) and hmac.compare_digest(bearer.encode("utf-8", "replace"), self._token)
