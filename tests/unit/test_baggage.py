"""What is read from a request's baggage."""

from __future__ import annotations

import subprocess
import sys
from urllib.parse import quote

import pytest

from outlast.baggage import (
    CONFIG_BUNDLE_ARN,
    CONFIG_BUNDLE_VERSION,
    EXPERIMENT_ARN,
    EXPERIMENT_VARIANT,
    NO_BAGGAGE,
    Baggage,
    ConfigBundleRef,
    parse_baggage,
)

BUNDLE = "arn:aws:bedrock-agentcore:us-west-2:123456789012:bundle/my-agent"
#: Reads made-up headers in both ways; ends with an assertion where they differ.
COMPARE = """
import logging, random
from bedrock_agentcore.config_bundle.baggage import _extract_baggage, _parse_config_bundle_baggage
from outlast.baggage import *

class Heard(logging.Handler):
    def emit(self, record):
        warnings.append(record.getMessage())

warnings, pick = [], random.Random(1)
logging.getLogger().addHandler(Heard())
pieces = [CONFIG_BUNDLE_ARN, CONFIG_BUNDLE_VERSION, EXPERIMENT_ARN, EXPERIMENT_VARIANT]
pieces += ["=", "=", ",", ";", " ", "%2C", "%", "a/b", "a/", "/", "x", "property=1"]
for _ in range(20_000):
    headers = ["".join(pick.choices(pieces, k=pick.randrange(15))) for _ in range(pick.randrange(4))]
    entries = _extract_baggage([("Baggage", header) for header in headers])
    theirs = _parse_config_bundle_baggage(entries)
    their_warnings, warnings = warnings, []
    ours = parse_baggage(headers)
    our_warnings, warnings = warnings, []
    bundle = ours.config_bundle
    assert our_warnings == their_warnings, headers
    assert (bundle and vars(bundle)) == (theirs and vars(theirs)), headers
    assert [ours.experiment_arn] == entries.get(EXPERIMENT_ARN, [None])[:1], headers
    assert [ours.experiment_variant] == entries.get(EXPERIMENT_VARIANT, [None])[:1], headers
"""


def test_no_header_is_the_one_empty_value() -> None:
    """Requests without baggage share a value."""
    assert parse_baggage([]) is NO_BAGGAGE
    assert parse_baggage(["", " , "]) is NO_BAGGAGE


def test_all_four_entries_are_read() -> None:
    """Values are percent-decoded and lose their properties; every header counts."""
    baggage = parse_baggage(
        [
            f"{CONFIG_BUNDLE_ARN}={quote(BUNDLE)};ttl=3, {CONFIG_BUNDLE_VERSION}=2",
            f" {EXPERIMENT_ARN} = arn%3Aexperiment ,{EXPERIMENT_VARIANT}=blue,other=1",
        ]
    )

    assert baggage == Baggage(ConfigBundleRef(BUNDLE, "2"), "arn:experiment", "blue")
    assert baggage.config_bundle is not None
    assert baggage.config_bundle.bundle_id == "my-agent"


def test_of_two_values_the_first_counts(caplog: pytest.LogCaptureFixture) -> None:
    """A bundle that comes twice is warned of, an experiment is not."""
    baggage = parse_baggage(
        [
            f"{CONFIG_BUNDLE_ARN}=a/1,{CONFIG_BUNDLE_VERSION}=1,{CONFIG_BUNDLE_ARN}=a/2,{EXPERIMENT_ARN}=x",
            f"{EXPERIMENT_ARN}=y",
        ]
    )

    assert (baggage.config_bundle, baggage.experiment_arn) == (ConfigBundleRef("a/1", "1"), "x")
    assert caplog.messages == ["Multiple config bundle ARNs/versions found in baggage — only the first will be used"]


@pytest.mark.parametrize(
    ("arn", "version", "why"),
    [
        ("", "1", "bundle_arn must not be empty"),
        ("a/b", "", "bundle_version must not be empty"),
        ("a", "1", "bundle_arn does not contain a valid bundle ID segment: 'a'"),
        ("a/", "1", "bundle_arn does not contain a valid bundle ID segment: 'a/'"),
    ],
)
def test_a_reference_to_nothing_is_refused(arn: str, version: str, why: str) -> None:
    """The messages are the original's."""
    with pytest.raises(ValueError, match="^" + why.replace("(", r"\(") + "$"):
        ConfigBundleRef(arn, version)


def test_a_value_that_no_span_can_hold_is_escaped() -> None:
    """A byte that is no UTF-8 would make the exporter lose every span of its batch."""
    [header] = [f"{EXPERIMENT_VARIANT}=\udcff"]

    assert parse_baggage([header]).experiment_variant == "\\udcff"


def test_any_header_is_read_as_the_original_reads_it() -> None:
    """Whatever is in the headers, references, experiment and warnings are the original's."""
    subprocess.run([sys.executable, "-c", COMPARE], check=True, timeout=60)
