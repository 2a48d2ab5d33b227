"""The framing of AWS's streaming answers, as botocore reads it."""

from __future__ import annotations

import json

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from outlastd.session_host.aws_event_stream import event, exception


@settings(deadline=None, database=None)
@given(texts=st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=200), max_size=5), cut=st.integers(1, 50))
def test_events(texts: list[str], cut: int) -> None:
    """Whatever the text is and wherever the bytes are cut, botocore reads the events that were written."""
    stream = b"".join(event("chunk", {"contentDelta": {"stdout": text}}) for text in texts)
    buffer = EventStreamBuffer()
    read = []
    for start in range(0, len(stream), cut):
        buffer.add_data(stream[start : start + cut])
        read += list(buffer)

    assert [json.loads(message.payload) for message in read] == [{"contentDelta": {"stdout": text}} for text in texts]
    for message in read:
        assert message.headers == {
            ":message-type": "event",
            ":event-type": "chunk",
            ":content-type": "application/json",
        }


def test_an_exception() -> None:
    """botocore makes an error of it."""
    buffer = EventStreamBuffer()
    buffer.add_data(exception("runtimeClientError", "it has gone"))
    [message] = list(buffer)

    assert message.to_response_dict() == {
        "status_code": 400,
        "headers": {
            ":message-type": "exception",
            ":exception-type": "runtimeClientError",
            ":content-type": "application/json",
        },
        "body": b'{"message":"it has gone"}',
    }


@pytest.mark.parametrize("place", [3, 11, 40, -8])
def test_a_damaged_message(place: int) -> None:
    """Both checksums are there: botocore finds a changed byte in any part."""
    message = bytearray(event("chunk", {"contentStart": {}}))
    message[place] ^= 1
    buffer = EventStreamBuffer()
    buffer.add_data(bytes(message))

    with pytest.raises(ChecksumMismatch):
        list(buffer)
