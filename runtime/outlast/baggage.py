"""What a request's W3C baggage says of the invocation (contract section 1.5): configuration bundle and experiment."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from outlast.core.validation import clean_text
from outlast.core.value import value

HEADER = "baggage"
CONFIG_BUNDLE_ARN = "aws.agentcore.configbundle_arn"
CONFIG_BUNDLE_VERSION = "aws.agentcore.configbundle_version"
#: The keys of the routing experiment; spans have attributes of the same names.
EXPERIMENT_ARN = "aws.agentcore.gateway.routing_experiment_arn"
EXPERIMENT_VARIANT = "aws.agentcore.gateway.routing_experiment_variant_name"

#: Characters at the most of a value that is kept: the data plane takes no longer header.
_MAX_VALUE = 8192

#: Through ``logging`` and under the original's name, so that what a program has set up for it counts.
_log = logging.getLogger("bedrock_agentcore.config_bundle.baggage")


@dataclass(frozen=True)
class ConfigBundleRef:
    """Which version of which configuration bundle an invocation is to use."""

    bundle_arn: str
    bundle_version: str

    def __post_init__(self) -> None:
        if not self.bundle_arn:
            raise ValueError("bundle_arn must not be empty")
        if not self.bundle_version:
            raise ValueError("bundle_version must not be empty")
        if "/" not in self.bundle_arn or not self.bundle_id:
            raise ValueError(f"bundle_arn does not contain a valid bundle ID segment: {self.bundle_arn!r}")

    @property
    def bundle_id(self) -> str:
        """What follows the last slash of the ARN."""
        return self.bundle_arn.rpartition("/")[2]


@value(frozen=True, slots=True)
class Baggage:
    """What is read from the baggage of one request; None for what is not there."""

    config_bundle: ConfigBundleRef | None = None
    experiment_arn: str | None = None
    experiment_variant: str | None = None


#: That of every request without any.
NO_BAGGAGE = Baggage()


def parse_baggage(headers: Iterable[str]) -> Baggage:
    """Return what the values of all ``baggage`` headers say. Of a key that comes again, the first value counts.

    What cannot be read is skipped, with the original's warnings.
    """
    found: dict[str, list[str]] = {}
    for header in headers:
        for key, text in _entries(header):
            found.setdefault(key, []).append(text)
    if not found:
        return NO_BAGGAGE
    return Baggage(_config_bundle(found), _first(found, EXPERIMENT_ARN), _first(found, EXPERIMENT_VARIANT))


def _entries(header: str) -> Iterator[tuple[str, str]]:
    """Give the keys and the percent-decoded values; properties, which follow a semicolon, are left out."""
    from urllib.parse import unquote  # by then a server has loaded it; an App alone has no use for it

    for entry in filter(None, map(str.strip, header.split(","))):
        key, equals, rest = entry.partition("=")
        key, value = key.strip(), unquote(rest.partition(";")[0].strip())
        if not equals:
            _log.warning("Skipping malformed baggage entry (no '='): %r", entry)
        elif not key:
            _log.warning("Skipping baggage entry with empty key in: %r", entry)
        elif not value:
            _log.warning("Skipping baggage entry with empty value for key %r", key)
        else:
            yield key, value


def _config_bundle(found: dict[str, list[str]]) -> ConfigBundleRef | None:
    arns, versions = found.get(CONFIG_BUNDLE_ARN), found.get(CONFIG_BUNDLE_VERSION)
    if not arns or not versions:
        return None
    if len(arns) > 1 or len(versions) > 1:
        _log.warning("Multiple config bundle ARNs/versions found in baggage — only the first will be used")
    try:
        return ConfigBundleRef(arns[0], versions[0])
    except ValueError as error:
        _log.warning("Skipping invalid config bundle ref (arn=%r, version=%r): %s", arns[0], versions[0], error)
        return None


def _first(found: dict[str, list[str]], key: str) -> str | None:
    # Into spans it goes, and one attribute that is no UTF-8 would cost the exporter the whole batch.
    return clean_text(found[key][0], _MAX_VALUE) if key in found else None
