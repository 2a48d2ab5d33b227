"""Makes the signature that a request should have, with botocore's own signer. Needs the extra ``host``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.utils import normalize_url_path

from outlastd.front_door.request import Request
from outlastd.session_host.auth.shown_signature import SERVICE, ShownSignature


@dataclass(frozen=True, slots=True)
class Secret:
    """An access key with its secret, under the names that botocore's signer asks for."""

    access_key: str
    secret_key: str = field(repr=False)


class _Signer(SigV4Auth):  # type: ignore[misc]  # botocore ships no types
    """Signs what was received: the headers that the signature names, and a body of which only the hash is known."""

    def headers_to_sign(self, request: AWSRequest) -> Any:
        return request.headers

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["body_sha256"])


def expected_signature(
    secret: Secret, shown: ShownSignature, method: str, target: str, headers: Mapping[str, str], body_sha256: str
) -> str:
    """Return the signature of a request; ``target`` is its path and query as they were sent."""
    # Only path and query of the URL are signed; the host is among the headers.
    request = AWSRequest(method=method, url=f"http://host{target}", headers=headers)
    request.context.update(timestamp=shown.timestamp, body_sha256=body_sha256)
    signer = _Signer(secret, SERVICE, shown.region)
    return str(signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request))


def signed_target(request: Request, *, leave_out: str = "") -> str | None:
    """Return the path and query that a signature covers, without the parameter ``leave_out``.

    None for a target whose canonical form is another's too: one signature would stand for both.
    """
    path, query = request.raw_path, request.query_string
    if not _is_plain(path + query) or "?" in path or not path.startswith("/") or normalize_url_path(path) != path:
        return None
    pairs = [pair for pair in query.split("&") if pair and not (leave_out and pair.startswith(f"{leave_out}="))]
    return f"{path}?{'&'.join(pairs)}" if pairs else path


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text and "#" not in text
