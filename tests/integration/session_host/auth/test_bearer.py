"""Bearer tokens of an identity provider, whose keys come over https."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.utils import base64url_decode, base64url_encode

from outlast.core.errors import StartRefused

from .gate import Boto, Serve, Served
from .provider import EC_KEY, RSA_KEY, SMALL_RSA_KEY, Provider, forged, jwk, serving, token

HOUR = 3600


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[Provider]:
    """An identity provider with two keys."""
    async with serving(tmp_path) as provider:
        yield provider


async def asked(served: Served, bearer: str) -> tuple[int, str | None]:
    """Ask with a bearer token; return the status and who it was."""
    answer = await served.ask("POST", "/runtimes/a/invocations", {"Authorization": f"Bearer {bearer}"}, b"{}")
    return answer.status, answer.json.get("name")


ALICE, NOBODY = (200, "jwt:alice"), (401, None)


async def test_a_token_of_the_provider_is_let_in(serve: Serve, provider: Provider) -> None:
    """Whichever of its keys signed it, and bound to its user; the keys are fetched once."""
    served = await serve(provider.config)

    assert await asked(served, token()) == ALICE
    assert await asked(served, token(EC_KEY, "ES256", "ec")) == ALICE
    assert await asked(served, token(aud=["other", "the-agents"])) == ALICE
    bearer = {"Authorization": f"Bearer {token()}"}
    said = (await served.ask("GET", "/sessions", bearer)).json
    assert said == {"name": "jwt:alice", "operator": False, "prefix": "", "user": "alice"}
    assert provider.asked == 1


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "expired": {"exp": int(time.time()) - HOUR},
    "without an end": {"exp": None},
    "with an end that is none": {"exp": "soon"},
    "with an end beyond all numbers": {"exp": float("inf")},
    "not yet valid": {"nbf": int(time.time()) + HOUR},
    "issued in the future": {"iat": int(time.time()) + HOUR},
    "of another issuer": {"iss": "https://other.example.com"},
    "of an issuer that is a prefix": {"iss": "https://issuer.example.com/poo"},
    "of no issuer": {"iss": None},
    "of an issuer that is a list": {"iss": ["https://issuer.example.com/pool"]},
    "for others": {"aud": "others"},
    "for nobody": {"aud": None},
    "for a number": {"aud": 1},
    "of no user": {"sub": None},
    "of an empty user": {"sub": ""},
    "of a user that is a number": {"sub": 1},
    "of a user with a line break": {"sub": "alice\nbob"},
    "of a user without end": {"sub": "a" * 257},
}


@pytest.mark.parametrize("claims", BAD_CLAIMS.values(), ids=BAD_CLAIMS.keys())
async def test_a_token_with_wrong_claims_is_not_let_in(
    serve: Serve, provider: Provider, claims: dict[str, Any]
) -> None:
    """The answer says that a bearer token is wanted, and nothing more."""
    served = await serve(provider.config)

    answer = await served.ask("GET", "/sessions", {"Authorization": f"Bearer {token(**claims)}"})

    assert (answer.status, answer.json) == (401, {"message": "Unauthorized"})
    assert answer.headers["x-amzn-ErrorType"] == "UnauthorizedException"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_a_token_signed_in_another_way_is_not_let_in(serve: Serve, provider: Provider) -> None:
    """With a key of somebody else's or a small one, with a public key as a secret, with nothing, or altered."""
    provider.keys += [jwk(SMALL_RSA_KEY, "small"), {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}]
    provider.keys += [jwk(RSA_KEY, "encryption", use="enc"), {"kty": "RSA", "kid": "broken"}, 1]
    served = await serve(provider.config)
    public = RSA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    good = token()
    head, body, signature = good.split(".")
    payload = base64url_decode(body)
    wrong = {
        "another key": token(EC_KEY, "ES256", "rsa"),
        "a small key": token(SMALL_RSA_KEY, "RS256", "small"),
        "another algorithm with the same key": token(algorithm="RS512"),
        "an algorithm that is not asked for": token(RSA_KEY, "PS256"),
        "the public key as a secret": forged({"alg": "HS256", "kid": "rsa"}, payload, public),
        "a shared secret of the provider's": forged({"alg": "HS256", "kid": "shared"}, payload, b"secret"),
        "a key for something else": token(key_id="encryption"),
        "a key that is none": token(key_id="broken"),
        "a key that is not there": token(key_id="unknown"),
        "no key": token(key_id=None),
        "no algorithm": jwt.encode({"sub": "alice"}, "", "none", headers={"kid": "rsa"}),
        "an algorithm that is none": forged({"alg": ["RS256"], "kid": "rsa"}),
        "a key's name that is none": forged({"alg": "RS256", "kid": {"a": 1}}),
        "an unknown extension": forged({"alg": "RS256", "kid": "rsa", "crit": ["x"]}),
        "no signature": f"{head}.{body}.",
        "another signature": f"{head}.{body}.{signature[:-4]}AAAA",
        "another body": f"{head}.{body[:-4]}AAAA.{signature}",
        "no JSON": forged({"alg": "RS256", "kid": "rsa"}, b"\xff"),
        "a head without end": base64url_encode(b"[" * 9000).decode() + ".e30.e30",
        "no token": "abc",
        "nothing": "",
        "no text": "ä.ö.ü",
        "a token without end": f"{head}.{'e30' * 8000}.{signature}",
    }

    assert await asked(served, good) == ALICE
    for what, bearer in wrong.items():
        assert (what, await asked(served, bearer)) == (what, NOBODY)


async def test_only_a_bearer_token_will_do(serve: Serve, provider: Provider) -> None:
    """Nothing at all is not enough, even from this machine, nor is a signature; the operator's token is."""
    served = await serve(provider.config)
    signed = await Boto(served.url).sign()

    assert (await served.ask("GET", "/sessions")).status == 401
    assert (await served.send(signed)).status == 401
    assert (await served.ask("GET", "/sessions", {"Authorization": "Basic YTpi"})).status == 401
    assert await asked(served, "operators") == (200, "operator")


async def test_beside_keys_a_wrong_token_is_denied(serve: Serve, provider: Provider, keys: dict[str, Any]) -> None:
    """And both kinds of credentials are let in."""
    served = await serve(provider.config | keys)

    assert await asked(served, token()) == ALICE
    assert (await Boto(served.url).invoke())["name"] == "key:alice"
    assert await asked(served, token(aud="others")) == (403, None)
    assert (await served.ask("GET", "/sessions")).status == 403


async def test_claims_say_what_the_user_may_see(serve: Serve, provider: Provider) -> None:
    """A prefix of sessions, without which nobody but an operator is let in; a value that makes an operator."""
    claims = {"user_claim": "email", "session_prefix_claim": "tenant"}
    operators = {"operator_claim": "groups", "operator_value": "admins"}
    served = await serve({"jwt": provider.config["jwt"] | claims | operators})

    async def said(**claims: Any) -> Any:
        bearer = {"Authorization": f"Bearer {token(email='a@example.com', **claims)}"}
        answer = await served.ask("GET", "/sessions", bearer)
        return (answer.json["operator"], answer.json["prefix"]) if answer.status == 200 else answer.status

    assert await said(tenant="acme-") == (False, "acme-")
    assert await said(tenant="acme-", groups=["users"]) == (False, "acme-")
    assert await said(tenant="acme-", groups="admins") == (True, "acme-")
    assert await said(groups=["users", "admins"]) == (True, "")
    assert await said(tenant="acme-", groups="admins of nothing") == (False, "acme-")
    for unbound in ({}, {"tenant": ""}, {"tenant": ["acme-"]}, {"groups": {"admins": 1}}):
        assert await said(**unbound) == 401


async def test_new_keys_are_found_and_made_up_ones_looked_for_no_more(serve: Serve, provider: Provider) -> None:
    """The keys are fetched for an unknown one, once for all who wait, and not again for half a minute."""
    served = await serve(provider.config)
    assert set(await asyncio.gather(*(asked(served, token()) for _ in range(20)))) == {ALICE}
    assert provider.asked == 1

    provider.keys.append(jwk(RSA_KEY, "new"))
    for made_up in range(5):
        assert await asked(served, token(key_id=f"made-up-{made_up}")) == NOBODY
    assert await asked(served, token(key_id="new")) == NOBODY
    assert provider.asked == 1
    served.clock.by += timedelta(seconds=31)
    assert await asked(served, token(key_id="new")) == ALICE
    assert provider.asked == 2


BAD_ANSWERS = {
    "an error": web.Response(status=500),
    "a redirect": web.Response(status=302, headers={"Location": "/keys.json?again"}),
    "no JSON": web.Response(body=b"<html>"),
    "other JSON": web.json_response([1]),
    "no keys": web.json_response({"keys": []}),
    "keys that are none": web.json_response({"keys": {"rsa": 1}}),
    "too much": web.json_response({"keys": [jwk(RSA_KEY, "rsa")], "more": "a" * 1024 * 1024}),
    "JSON without a bottom": web.Response(body=b"[" * 100_000),
}


@pytest.mark.parametrize("what", BAD_ANSWERS)
async def test_the_old_keys_hold_while_the_provider_is_down(
    serve: Serve, provider: Provider, what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The log says what is wrong; the keys are asked for again after ten minutes, and then every half minute."""
    served = await serve(provider.config)
    assert await asked(served, token()) == ALICE
    good = provider.keys
    answer = BAD_ANSWERS[what]

    async def answers(request: web.Request) -> web.Response:
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    provider.respond = answers
    served.clock.by += timedelta(minutes=11)
    # A known key is never waited for, an unknown one is.
    assert await asked(served, token()) == ALICE
    assert await asked(served, token(key_id="new")) == NOBODY
    assert provider.asked == 2
    (line,) = (json.loads(line) for line in capfd.readouterr().err.splitlines() if "identity provider" in line)
    assert line["level"] == "WARNING"
    assert line["url"] == provider.url

    provider.respond = None
    provider.keys = [*good, jwk(RSA_KEY, "new")]
    served.clock.by += timedelta(seconds=31)
    assert await asked(served, token(key_id="new")) == ALICE


async def test_a_provider_that_nobody_vouches_for_is_not_believed(serve: Serve, provider: Provider) -> None:
    """Without its authority's certificate no key comes from there, and without a key nobody is let in."""
    config = {name: value for name, value in provider.config["jwt"].items() if name != "jwks_ca"}
    served = await serve({"jwt": config})

    assert await asked(served, token()) == NOBODY
    assert provider.asked == 0


async def test_a_silent_provider_is_given_up(serve: Serve, provider: Provider) -> None:
    """What is being fetched when the host stops does not keep it; who waits for it is not let in."""
    served = await serve(provider.config)
    waiting, asked_for = asyncio.Event(), asyncio.Event()

    async def answers(request: web.Request) -> web.Response:
        asked_for.set()
        await waiting.wait()
        return web.Response()

    provider.respond = answers
    asking = asyncio.create_task(asked(served, token()))
    await asked_for.wait()
    await served.gate.authenticator.close()
    assert await asking == NOBODY
    waiting.set()


async def test_an_authority_that_is_none_refuses_the_start(serve: Serve, provider: Provider, tmp_path: Path) -> None:
    """The message names the setting."""
    (tmp_path / "empty.pem").write_text("")

    with pytest.raises(StartRefused, match=r"auth\.jwt\.jwks_ca"):
        await serve({"jwt": provider.config["jwt"] | {"jwks_ca": str(tmp_path / "empty.pem")}})
