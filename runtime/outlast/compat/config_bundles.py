"""Configuration bundles: fetched by the original's client when a request names one, and kept (contract section 4.1)."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from outlast.baggage import ConfigBundleRef
from outlast.telemetry import lines

#: Versions of bundles that one app keeps.
MAX_KEPT = 30


class ConfigBundles:
    """The configurations of one app, each fetched when it is first asked for. Thread-safe."""

    def __init__(self, client: Callable[[], Any]) -> None:
        """``client`` returns what fetches; it is asked at each fetch."""
        self._client = client
        self.resolve = lru_cache(maxsize=MAX_KEPT)(self._resolve)

    def _resolve(self, ref: ConfigBundleRef) -> dict[str, Any]:
        """Return this runtime's configuration in a bundle; empty, with a warning, when it has none.

        Raises:
            ImportError: the original is not installed.
        """
        lines.debug("Fetching config bundle %r version %r", ref.bundle_id, ref.bundle_version)
        try:
            response = self._client().get_configuration_bundle_version(
                bundleId=ref.bundle_id, versionId=ref.bundle_version
            )
        except Exception as error:
            what = f"config bundle {ref.bundle_id!r} version {ref.bundle_version!r}"
            lines.write("ERROR", f"Failed to fetch {what}: {type(error).__name__}: {error}")
            raise
        components = response.get("components", {})
        arn = runtime_arn()
        if arn is None:
            lines.write("WARNING", "OTEL_RESOURCE_ATTRIBUTES not set — cannot select config component")
            return {}
        if arn not in components:
            message = f"Runtime ARN {arn!r} not found in bundle {ref.bundle_id!r} — available: {list(components)}"
            lines.write("WARNING", message)
            return {}
        configuration: dict[str, Any] = components[arn].get("configuration", {})
        return configuration


def make_client() -> Any:
    """Return the original's client, which asks the control plane. Raises ImportError where it is not installed."""
    from bedrock_agentcore.config_bundle.client import ConfigBundleClient

    return ConfigBundleClient()


#: Those of the app that was made last: a process has one.
_newest = ConfigBundles(make_client)


def for_new_app(client: Callable[[], Any]) -> ConfigBundles:
    """Return configurations that are the process's from now on."""
    global _newest
    _newest = ConfigBundles(client)
    return _newest


def of_this_process() -> ConfigBundles:
    """Return the configurations of the app that was made last."""
    return _newest


def runtime_arn() -> str | None:
    """Return the ARN of the runtime that this process is, from OTEL_RESOURCE_ATTRIBUTES; None when it says nothing.

    An endpoint's ARN is cut down to its runtime's.
    """
    for attribute in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, _, value = attribute.strip().partition("=")
        if key == "cloud.resource_id":
            return value.partition("/runtime-endpoint/")[0]
    return None
