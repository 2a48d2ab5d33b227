"""What a host and its wardens say to each other."""

from __future__ import annotations

import pytest

from outlastd.session_host.processes.message import MAX_MESSAGE, BadMessage, Message, Messages, encode


def test_messages_come_whole_however_they_are_cut() -> None:
    """A stream socket may deliver any part of any number of messages at a time."""
    sent: list[Message] = [{"started": 7}, {"text": "ä\udcff\0" * 50}, {}]
    data = b"".join(map(encode, sent))
    for size in (1, 3, 64, len(data)):
        messages = Messages()
        found = [message for at in range(0, len(data), size) for message in messages.feed(data[at : at + size])]

        assert found == sent


def test_a_message_has_a_greatest_size() -> None:
    """Neither side makes the other keep more than that, whatever it claims."""
    with pytest.raises(BadMessage, match="larger"):
        encode({"text": "x" * MAX_MESSAGE})
    with pytest.raises(BadMessage, match="larger"):
        Messages().feed((MAX_MESSAGE + 1).to_bytes(4, "big"))


@pytest.mark.parametrize("text", [b"nonsense", b"[]", b"\xff", b""])
def test_what_is_no_object_is_no_message(text: bytes) -> None:
    """Only JSON objects are."""
    with pytest.raises(BadMessage):
        Messages().feed(len(text).to_bytes(4, "big") + text)
