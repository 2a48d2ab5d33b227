"""Decides who sends a request, by what the request shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outlast.core.errors import StartRefused
from outlast.headers import AUTHORIZATION
from outlastd.front_door.request import Request
from outlastd.session_host.api_error import ApiError, unauthorized
from outlastd.session_host.auth.bearer import bearer_of
from outlastd.session_host.auth.claims import Known, TokenRefused, note, refused
from outlastd.session_host.auth.loopback import Loopback
from outlastd.session_host.auth.neighbours import Neighbours
from outlastd.session_host.auth.operator_token import OPERATOR, OperatorToken
from outlastd.session_host.auth.shown_signature import ALGORITHM, in_query
from outlastd.session_host.clock import Clock, SystemClock
from outlastd.session_host.config import AuthConfig
from outlastd.session_host.ports import Claim

if TYPE_CHECKING:
    from outlastd.session_host.auth.jwt_tokens import JwtTokens
    from outlastd.session_host.auth.sigv4 import SigV4


class CallerAuthenticator:
    """Asks whoever knows the kind of credentials that a request shows. An Authenticator."""

    def __init__(
        self, operator_token: OperatorToken, loopback: Loopback, signatures: SigV4 | None, tokens: JwtTokens | None
    ) -> None:
        """Without ``signatures`` and ``tokens`` nothing but the operator's token is asked for on this machine."""
        self._operator_token = operator_token
        self._loopback = loopback
        self._signatures = signatures
        self._tokens = tokens

    async def read(self, request: Request) -> Claim:
        """Look at a request before its body is read. Raises ApiError 401 or 403 for what can never be believed."""
        shown = list(request.headers.getall(AUTHORIZATION, ()))
        if len(shown) > 1:
            raise self._refusal("there is more than one Authorization header")
        bearer = bearer_of(request)
        if bearer is not None:
            return await self._read_bearer(bearer)
        signed = bool(shown) and shown[0].startswith(ALGORITHM)
        if self._signatures is not None:
            if signed:
                return self._signatures.read_header(request)
            if not shown and in_query(request):
                return self._signatures.read_query(request)
        elif self._tokens is None and (signed or not shown):
            # A signature cannot be checked: clients of AWS's kind make one with whatever they have.
            return Known(await self._loopback.principal_of(request))
        raise self._refusal("it shows no credentials of use")

    async def close(self) -> None:
        """Let go."""
        if self._tokens is not None:
            await self._tokens.close()

    async def _read_bearer(self, bearer: str) -> Claim:
        if self._operator_token.is_shown(bearer):
            return Known(OPERATOR)
        if self._tokens is None:
            raise self._refusal("the bearer token is not the operator's")
        try:
            return Known(await self._tokens.principal_of(bearer))
        except TokenRefused as error:
            raise self._refusal(str(error)) from None

    def _refusal(self, reason: str) -> ApiError:
        if self._tokens is not None and self._signatures is None:
            note(reason)
            return unauthorized({"WWW-Authenticate": "Bearer"})
        return refused(reason)


def make_authenticator(
    auth: AuthConfig, operator_token: str, neighbours: Neighbours, clock: Clock | None = None
) -> CallerAuthenticator:
    """Return the authenticator that a configuration asks for. Reads secrets and certificates, which blocks.

    Raises:
        StartRefused: it cannot be had; the message is one line that names cause and cure.
    """
    clock = clock or SystemClock()
    try:  # both need an extra: who has neither keys nor JWT does without
        signatures = tokens = None
        if auth.keys:
            from outlastd.session_host.auth.sigv4 import SigV4

            signatures = SigV4(auth.keys, auth.region, clock)
        if auth.jwt is not None:
            from outlastd.session_host.auth.jwt_tokens import JwtTokens

            tokens = JwtTokens(auth.jwt, clock)
    except ModuleNotFoundError as error:
        if error.name not in ("botocore", "jwt"):
            raise
        raise StartRefused(f"auth needs {error.name}, which is not installed: pip install 'outlast[host]'") from error
    return CallerAuthenticator(OperatorToken(operator_token), Loopback(neighbours), signatures, tokens)
