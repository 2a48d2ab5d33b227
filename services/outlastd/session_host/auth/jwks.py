"""The public keys of an identity provider (RFC 7517), fetched from one fixed URL and kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from outlast.core.errors import StartRefused
from outlast.telemetry.log import get_logger, summary_of
from outlastd.session_host.clock import Clock

#: Seconds that keys are kept before they are fetched anew.
KEEP = 600.0
#: Seconds between two fetches: whoever sends tokens with made-up keys causes no more.
PAUSE = 30.0
#: Seconds that a fetch may take, and bytes that it may bring.
TIME_LIMIT = 10.0
MAX_BYTES = 1024 * 1024
#: Types of keys of which the public half is of no use to whoever wants to sign.
_ASYMMETRIC = frozenset({"RSA", "EC", "OKP"})

Jwk = Mapping[str, Any]


class Jwks:
    """Finds keys by their ids. Lives on the services' loop."""

    def __init__(self, url: str, authority: Path | None, clock: Clock) -> None:
        """``authority`` is the PEM file of whoever signs the server's certificate; None for the system's own.

        Reads that file, which blocks.

        Raises:
            StartRefused: it cannot be used.
        """
        self._url = url
        self._clock = clock
        try:
            self._tls = ssl.create_default_context(cafile=authority)
        except OSError as error:
            raise StartRefused(f"auth.jwt.jwks_ca: {authority} cannot be used ({error.strerror or error})") from None
        self._keys: dict[str, Jwk] = {}
        self._fetched_at = self._tried_at = -math.inf
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, key_id: str) -> Jwk | None:
        """Return a key; None when the provider has none of that id. A known one is never waited for."""
        if key_id not in self._keys or self._clock.monotonic() - self._fetched_at >= KEEP:
            fetching = self._fetch_if_due()
            if key_id not in self._keys and fetching is not None:
                await asyncio.wait({fetching})  # it goes on for others when this one is cancelled
        return self._keys.get(key_id)

    async def close(self) -> None:
        """Give up what is being fetched."""
        if self._fetching is not None:
            self._fetching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._fetching

    def _fetch_if_due(self) -> asyncio.Task[None] | None:
        """Return the fetch that goes on: one for all who wait."""
        if self._fetching is None and self._clock.monotonic() - self._tried_at >= PAUSE:
            self._tried_at = self._clock.monotonic()
            self._fetching = asyncio.create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        try:
            self._keys = _usable_keys(await self._read())
            self._fetched_at = self._clock.monotonic()
        except (aiohttp.ClientError, OSError, ValueError, RecursionError) as error:  # the old keys hold
            get_logger().warning(
                "the identity provider's keys could not be fetched", url=self._url, reason=summary_of(error)
            )
        finally:
            self._fetching = None

    async def _read(self) -> bytes:
        timeout = aiohttp.ClientTimeout(total=TIME_LIMIT)
        # Nothing is unpacked: a small answer does not become a large one.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False, headers=headers) as session,
            session.get(self._url, ssl=self._tls, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise ValueError(f"it answered with the status {response.status}")
            body = bytearray()
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > MAX_BYTES:
                    raise ValueError(f"it answered with more than {MAX_BYTES} bytes")
            return bytes(body)


def _usable_keys(body: bytes) -> dict[str, Jwk]:
    """Return the keys for signatures by their ids. Raises ValueError when there are none."""
    document = json.loads(body)
    keys = document.get("keys") if isinstance(document, dict) else None
    usable: dict[str, Jwk] = {
        key["kid"]: key
        for key in (keys if isinstance(keys, list) else ())
        if isinstance(key, dict)
        and isinstance(key.get("kid"), str)
        and key.get("kty") in _ASYMMETRIC
        and key.get("use", "sig") == "sig"
    }
    if not usable:
        raise ValueError("it answered with no key of use")
    return usable
