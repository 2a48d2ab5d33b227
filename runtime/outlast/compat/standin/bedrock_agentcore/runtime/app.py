"""The application class, where programs import it from this module."""

from outlast.compat.app import BedrockAgentCoreApp
from outlast.compat.config_bundles import runtime_arn
from outlast.telemetry.json_handler import JSONFormatter as RequestContextFormatter

__all__ = ["BedrockAgentCoreApp", "RequestContextFormatter"]

# Tests that were written for the original reset this to have the environment read again.
_UNRESOLVED = object()
_runtime_arn_cache: object = _UNRESOLVED


def _parse_runtime_arn() -> object:
    global _runtime_arn_cache
    if _runtime_arn_cache is _UNRESOLVED:
        _runtime_arn_cache = runtime_arn()
    return _runtime_arn_cache
