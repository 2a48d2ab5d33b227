"""Bearer tokens that an identity provider has signed (JWT, RFC 7519). Needs the extra ``host``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import jwt
from jwt.algorithms import has_crypto

from outlast.core.errors import StartRefused
from outlastd.session_host.auth.claims import TokenRefused
from outlastd.session_host.auth.jwks import Jwks
from outlastd.session_host.clock import Clock
from outlastd.session_host.config import JwtConfig
from outlastd.session_host.principal import Principal

#: Seconds that the provider's clock may be from ours.
LEEWAY = 60
#: Characters of a token, and of what a claim in it says.
MAX_TOKEN = 16 * 1024
MAX_CLAIM = 256

# What goes wrong inside PyJWT with strange tokens; old versions let more through than PyJWTError.
_WRONG = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


class JwtTokens:
    """Knows whose tokens to believe."""

    def __init__(self, config: JwtConfig, clock: Clock) -> None:
        """Read the certificate that is to be trusted, which blocks.

        Raises:
            StartRefused: signatures cannot be checked, or the certificate cannot be used.
        """
        if not has_crypto:
            raise StartRefused("auth.jwt needs cryptography: pip install 'outlast[host]'")
        self._config = config
        self._jwks = Jwks(config.jwks_url, config.jwks_ca, clock)

    async def principal_of(self, token: str) -> Principal:
        """Return whom a token stands for. Raises TokenRefused when it is not to be believed."""
        return self._principal(await self._verified(token))

    async def close(self) -> None:
        """Let go."""
        await self._jwks.close()

    async def _verified(self, token: str) -> Mapping[str, Any]:
        if not token.isascii() or len(token) > MAX_TOKEN:
            raise TokenRefused("the bearer token is no token")
        try:
            header = jwt.get_unverified_header(token)
        except _WRONG:
            raise TokenRefused("the bearer token is no JWT") from None
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in self._config.algorithms or not isinstance(key_id, str):
            raise TokenRefused("the JWT is signed in another way, or names no key")
        key = await self._jwks.key(key_id)
        if key is None or key.get("alg", algorithm) != algorithm:
            raise TokenRefused("the JWT's key is not one of the identity provider's")
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                jwt.PyJWK(dict(key), algorithm),
                algorithms=[algorithm],
                audience=self._config.audience,
                issuer=self._config.issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
            )
        except _WRONG as error:
            raise TokenRefused(f"the JWT is not valid: {type(error).__name__}") from None
        return claims

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        config = self._config
        user = claims.get(config.user_claim)
        if not _is_name(user):
            raise TokenRefused("the JWT names no user")
        said = claims.get(config.operator_claim) if config.operator_claim else None
        operator = config.operator_value in (said if isinstance(said, list) else [said])
        prefix = claims.get(config.session_prefix_claim) if config.session_prefix_claim else None
        if not _is_name(prefix):
            if config.session_prefix_claim and not operator:
                raise TokenRefused("the JWT names no prefix of sessions")
            prefix = ""
        return Principal(f"jwt:{user}", operator=operator, session_prefix=prefix, user=user)


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= MAX_CLAIM and value.isprintable()
