"""An identity provider: it serves its public keys over https, and signs tokens."""

from __future__ import annotations

import hmac
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import trustme
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode

ISSUER, AUDIENCE = "https://issuer.example.com/pool", "the-agents"
#: Making one takes a while.
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SMALL_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def jwk(key: Any, key_id: str, **members: Any) -> dict[str, Any]:
    """Return the public half of a key as JSON."""
    kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "use": "sig", **members}


class Provider:
    """What the test makes it say, and how often it was asked."""

    def __init__(self, authority: Path) -> None:
        self.authority = authority
        self.port = 0
        self.keys: list[Any] = [jwk(RSA_KEY, "rsa", alg="RS256"), jwk(EC_KEY, "ec")]
        #: Answers instead, where the test has something else to say.
        self.respond: Callable[[web.Request], Awaitable[web.Response]] | None = None
        self.asked = 0

    @property
    def url(self) -> str:
        """Where the keys are."""
        return f"https://localhost:{self.port}/keys.json"

    @property
    def config(self) -> dict[str, Any]:
        """What a host is told of it."""
        named = {"issuer": ISSUER, "audience": AUDIENCE}
        return {"jwt": {**named, "jwks_url": self.url, "jwks_ca": str(self.authority)}}

    async def serve_keys(self, request: web.Request) -> web.Response:
        """Answer with the keys, or as the test says."""
        self.asked += 1
        return web.json_response({"keys": self.keys}) if self.respond is None else await self.respond(request)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Provider]:
    """Serve a provider whose certificate only its own authority vouches for."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    provider = Provider(folder / "authority.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    app = web.Application()
    app.router.add_get("/keys.json", provider.serve_keys)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "localhost", 0, ssl_context=context)
    await site.start()
    provider.port = runner.addresses[0][1]
    yield provider
    await runner.cleanup()


def token(key: Any = RSA_KEY, algorithm: str = "RS256", key_id: str | None = "rsa", **claims: Any) -> str:
    """Return a token that holds for an hour, with other claims; None takes one out."""
    now = int(time.time())
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now + 3600, "iat": now} | claims
    said = {name: value for name, value in said.items() if value is not None}
    headers = None if key_id is None else {"kid": key_id}
    return jwt.PyJWS().encode(json.dumps(said).encode(), key, algorithm, headers)


def forged(header: dict[str, Any], payload: bytes = b"{}", secret: bytes = b"") -> str:
    """Return a token of any header and payload, signed with a secret."""
    signed = b".".join(base64url_encode(part) for part in (json.dumps(header).encode(), payload))
    return f"{signed.decode()}.{base64url_encode(hmac.digest(secret, signed, 'sha256')).decode()}"
