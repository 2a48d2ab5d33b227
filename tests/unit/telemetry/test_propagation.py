"""W3C trace context, strictly."""

from __future__ import annotations

import pytest

from outlast.core.task import NO_TRACE, TraceContext
from outlast.telemetry.propagation import (
    metadata_for,
    parse_traceparent,
    root_parent_id,
    root_trace_context,
    span_id_of,
    trace_context_from,
    trace_id_of,
)

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE_ID}-{PARENT_ID}-01"


def test_a_valid_traceparent_is_taken_apart_and_put_together() -> None:
    """Parts and text stand for each other."""
    parsed = parse_traceparent(VALID)

    assert parsed is not None
    assert (int(TRACE_ID, 16), int(PARENT_ID, 16), True, False) == (
        parsed.trace_id,
        parsed.parent_id,
        parsed.sampled,
        parsed.root,
    )
    assert str(parsed) == VALID


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        VALID.upper(),
        f"ff-{TRACE_ID}-{PARENT_ID}-01",
        f"00-{'0' * 32}-{PARENT_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID}-{PARENT_ID}",
        f"00-{TRACE_ID}-{PARENT_ID}-1",
        f"00-{TRACE_ID}-{PARENT_ID}-01-more",
        f"00-{TRACE_ID[:-1]}-{PARENT_ID}-01",
        f" {VALID}",
        f"{VALID}\n",
        f"00-{TRACE_ID}-{PARENT_ID}-0\uff11",
    ],
)
def test_an_invalid_traceparent_is_ignored(text: str) -> None:
    """What W3C says to ignore is no trace."""
    assert parse_traceparent(text) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    """A version after 00 may have more parts; it is passed on as version 00."""
    parsed = parse_traceparent(f"cc-{TRACE_ID}-{PARENT_ID}-ff-what-the-future-brings")

    assert f"00-{TRACE_ID}-{PARENT_ID}-03" == str(parsed)


def test_headers_are_found_in_any_case() -> None:
    """HTTP headers and gRPC metadata name them as they like."""
    expected = TraceContext(VALID, "a=1,b=2")

    assert expected == trace_context_from({"TraceParent": VALID, "TRACESTATE": "a=1,b=2"})
    assert expected == trace_context_from([("traceparent", VALID), ("tracestate", "a=1"), ("tracestate", "b=2")])
    assert expected == trace_context_from([*metadata_for(expected), ("grpc-status-details-bin", b"\xff")])


def test_two_traceparents_are_none() -> None:
    """When two headers contradict each other, neither counts."""
    assert trace_context_from([("traceparent", VALID), ("traceparent", VALID)]) == NO_TRACE


@pytest.mark.parametrize("tracestate", ["x" * 513, "a=\x00", "a=é"])
def test_a_tracestate_that_cannot_be_passed_on_is_dropped_alone(tracestate: str) -> None:
    """A bad tracestate does not harm the traceparent."""
    assert TraceContext(VALID) == trace_context_from({"traceparent": VALID, "tracestate": tracestate})


def test_metadata_names_what_there_is() -> None:
    """No trace is no metadata, and no tracestate is no entry."""
    assert metadata_for(NO_TRACE) == ()
    assert metadata_for(TraceContext(VALID)) == (("traceparent", VALID),)


def test_a_root_is_recognised_and_nothing_else_is_one() -> None:
    """The parent id of a root is a function of its trace id that no span above it has."""
    context = root_trace_context(int(TRACE_ID, 16), sampled=True)
    parsed = parse_traceparent(context.traceparent)

    assert parsed is not None
    assert parsed.root
    assert parsed.sampled
    assert root_parent_id(int(TRACE_ID, 16)) not in (int(TRACE_ID[:16], 16), int(TRACE_ID[16:], 16))
    assert trace_id_of(context) == TRACE_ID


def test_the_span_id_is_the_task_id() -> None:
    """Sixteen hex digits of the task id are its span's."""
    assert span_id_of(4680601251139015056) == "40f4d609fd63d190"
    assert span_id_of(1) == "0000000000000001"
