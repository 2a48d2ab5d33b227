"""What a request shows of a signature of AWS's kind: its parts, not yet believed.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from outlast.headers import AUTHORIZATION
from outlastd.front_door.request import Request
from outlastd.session_host.auth.claims import refused

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "bedrock-agentcore"
#: Headers that one signature may cover; clients sign about ten.
MAX_SIGNED_HEADERS = 64

_HEADER = re.compile(rf"{ALGORITHM} +Credential=([^,\s]+), *SignedHeaders=([^,\s]+), *Signature=([^,\s]+)")
_REGION = re.compile(r"[a-z0-9-]{1,64}")
_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_EXPIRES = re.compile(r"[1-9][0-9]{0,5}")


@dataclass(frozen=True, slots=True)
class ShownSignature:
    """A signature, and what it is said to be made with and over."""

    access_key: str
    region: str
    #: As it was signed, 20261121T065823Z, and as a time.
    timestamp: str
    signed_at: datetime
    signed_headers: Sequence[str]
    value: str
    #: Seconds that it holds for; None in the headers, where the host says.
    expires: int | None = None


def from_header(request: Request) -> ShownSignature:
    """Return what the headers show. Raises ApiError 403 when that is no signature for this service."""
    parts = _HEADER.fullmatch(_only(request.headers.getall(AUTHORIZATION, ())))
    if parts is None:
        raise refused("the Authorization header is no AWS signature")
    credential, signed_headers, value = parts.groups()
    return _shown(credential, _only(request.headers.getall("X-Amz-Date", ())), signed_headers, value)


def in_query(request: Request) -> bool:
    """Tell whether the query shows a signature (a presigned URL)."""
    return "X-Amz-Signature" in request.query


def from_query(request: Request) -> ShownSignature:
    """Return what the query shows. Raises ApiError 403 when that is no signature for this service."""

    def parameter(name: str) -> str:
        return _only(request.query.get(f"X-Amz-{name}", ()))

    expires = parameter("Expires")
    if parameter("Algorithm") != ALGORITHM or not _EXPIRES.fullmatch(expires):
        raise refused("the query is no AWS signature")
    credential, signed_headers = parameter("Credential"), parameter("SignedHeaders")
    return _shown(credential, parameter("Date"), signed_headers, parameter("Signature"), int(expires))


def _only(values: Sequence[str]) -> str:
    if len(values) != 1:
        raise refused("a part of the AWS signature is missing, or there twice")
    return values[0]


def _shown(
    credential: str, timestamp: str, signed_headers: str, value: str, expires: int | None = None
) -> ShownSignature:
    scope = credential.split("/")
    if len(scope) != 5 or scope[3:] != [SERVICE, "aws4_request"]:
        raise refused("the AWS signature is for another service")
    access_key, date, region = scope[:3]
    if not _REGION.fullmatch(region):
        raise refused("the AWS signature names no region")
    if not _TIMESTAMP.fullmatch(timestamp) or timestamp[:8] != date:
        raise refused("the AWS signature has no date, or two of them")
    try:
        signed_at = datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise refused("the AWS signature's date is none") from None
    names = signed_headers.split(";")
    if names != sorted(set(names)) or len(names) > MAX_SIGNED_HEADERS or not _SIGNATURE.fullmatch(value):
        raise refused("the AWS signature is not in its canonical form")
    return ShownSignature(access_key, region, timestamp, signed_at, names, value, expires)
