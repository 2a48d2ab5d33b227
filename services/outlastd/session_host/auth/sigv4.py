"""Signature Version 4 with configured keys. What a request means is signed, or it is not believed.

The signature is in the headers, as boto3 makes it, or for a WebSocket in the query (a presigned URL).
"""

from __future__ import annotations

import hmac
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from outlast.core.errors import StartRefused
from outlast.headers import SESSION_ID
from outlastd.front_door.request import Request
from outlastd.session_host.auth.claims import refused
from outlastd.session_host.auth.shown_signature import ShownSignature, from_header, from_query
from outlastd.session_host.auth.signer import Secret, expected_signature, signed_target
from outlastd.session_host.clock import Clock
from outlastd.session_host.config import KeyConfig
from outlastd.session_host.principal import Principal

#: How far the client's clock may be from ours: as much as AWS allows.
SKEW = timedelta(minutes=15)
#: Seconds that a presigned URL may hold for (contract section 4.6).
MAX_EXPIRES = 300

_BODY_HASH = "x-amz-content-sha256"
#: Headers that mean something here: botocore signs all of these that it sends (contract section 2.1).
_MUST_BE_SIGNED = ("x-amz-", "x-amzn-", "mcp-", "content-type")
#: But not those of traces, which whatever is in between may set.
_NEVER_SIGNED = frozenset({"x-amzn-trace-id"})
_WEBSOCKET_PATH = re.compile(r"/runtimes/[^/]+/ws")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class _Key:
    secret: Secret
    principal: Principal


@dataclass(frozen=True, slots=True)
class _Signed:
    """The claim of a request whose signature is still to be looked at, since it covers the body."""

    key: _Key
    shown: ShownSignature
    method: str
    target: str
    headers: Mapping[str, str]
    #: Values of ``host`` that may have been signed.
    hosts: Sequence[str]

    def prove(self, body_sha256: str) -> Principal:
        """Return whose key it is. Raises ApiError 403 when the signature is not the request's."""
        if self.headers.get(_BODY_HASH, body_sha256) != body_sha256:
            raise refused("the body is not the one that was signed")
        for host in self.hosts:
            headers = {**self.headers, "host": host}
            expected = expected_signature(self.key.secret, self.shown, self.method, self.target, headers, body_sha256)
            if hmac.compare_digest(expected, self.shown.value):
                return self.key.principal
        raise refused("the signature does not match")


class SigV4:
    """Knows the keys."""

    def __init__(self, keys: Iterable[KeyConfig], region: str, clock: Clock) -> None:
        """Read the secrets, which blocks.

        Raises:
            StartRefused: a secret cannot be had, or two keys are one.
        """
        self._keys: dict[str, _Key] = {}
        self._region = region
        self._clock = clock
        for key in keys:
            if key.access_key in self._keys:
                raise StartRefused(f"the access key {key.access_key} is there twice in auth.keys")
            try:
                secret = Secret(key.access_key, key.read_secret())
            except ValueError as error:
                raise StartRefused(f"the secret of the key {key.name!r}: {error}") from None
            self._keys[key.access_key] = _Key(secret, _principal(key))

    def read_header(self, request: Request) -> _Signed:
        """Return what a signature in the headers claims. Raises ApiError 403 when it can never be right."""
        shown = from_header(request)
        if "x-amz-date" not in shown.signed_headers or abs(self._clock.now() - shown.signed_at) > SKEW:
            raise refused("the signature is too old, or from the future")
        # The SDK's own client leaves the session's id of a WebSocket unsigned (contract section 4.6).
        unsigned = {SESSION_ID.lower()} if _opens_websocket(request) else set()
        return self._claim(request, shown, signed_target(request), unsigned)

    def read_query(self, request: Request) -> _Signed:
        """Return what a presigned URL claims. Raises ApiError 403 when it can never be right."""
        if not _opens_websocket(request):
            raise refused("a presigned URL opens WebSockets only")
        shown = from_query(request)
        assert shown.expires is not None
        age = self._clock.now() - shown.signed_at
        if shown.expires > MAX_EXPIRES or not -SKEW <= age <= timedelta(seconds=shown.expires):
            raise refused("the presigned URL holds for too long, or no more")
        target = signed_target(request, leave_out="X-Amz-Signature")
        return self._claim(request, shown, target, set())

    def _claim(self, request: Request, shown: ShownSignature, target: str | None, unsigned: set[str]) -> _Signed:
        key = self._keys.get(shown.access_key)
        if key is None or self._region not in ("", shown.region):
            raise refused("the access key is not known, or is used for another region")
        if target is None:
            raise refused("the path or the query is not in its canonical form")
        headers = _signed_headers(request, shown.signed_headers, unsigned)
        if not _SHA256.fullmatch(headers.get(_BODY_HASH, "0" * 64)):
            raise refused("the body is not signed")
        hosts = [headers["host"]]
        if shown.expires is not None:  # the SDK's own client signs the name alone in URLs, whatever the port
            hosts.append(hosts[0].rpartition(":")[0])
        return _Signed(key, shown, request.method, target, headers, hosts)


def _signed_headers(request: Request, names: Collection[str], unsigned: set[str]) -> dict[str, str]:
    """Return the headers that are signed. Raises ApiError 403 when one that matters is not among them."""
    there = Counter(name.lower() for name, _ in request.headers.items())
    signed = {name: request.headers[name] for name in names if there[name] == 1}
    if len(signed) != len(names) or "host" not in signed:
        raise refused("a signed header is missing, or there twice")
    for name in there:
        if name.startswith(_MUST_BE_SIGNED) and name not in signed and name not in unsigned | _NEVER_SIGNED:
            raise refused("a header that should be signed is not")
    if not all(_is_text(value) for value in signed.values()):
        raise refused("a signed header is no text")
    return signed


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _opens_websocket(request: Request) -> bool:
    upgrade = request.headers.get("Upgrade", "").lower()
    return request.method == "GET" and upgrade == "websocket" and bool(_WEBSOCKET_PATH.fullmatch(request.raw_path))


def _principal(key: KeyConfig) -> Principal:
    return Principal(
        f"key:{key.name}",
        operator=key.operator,
        agents=None if key.agents is None else frozenset(key.agents),
        session_prefix=key.session_prefix,
        user=key.user,
    )
