"""What makes a request a repeat of another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RepeatKey:
    """One invocation, however often its client sends it. Whoever sends another body, or is another, asks anew."""

    #: The name of whoever asks.
    principal: str
    agent: str
    session_id: str
    #: What is asked for, and the client's own id (``amz-sdk-invocation-id``), which its repeats bear too.
    invocation_id: str
    #: Hexadecimal.
    body_sha256: str
