"""The limits that hold where nobody asks for others: the settings' defaults, and those of whatever runs without any."""

from __future__ import annotations

#: Bytes of a request's body.
MAX_BODY_BYTES = 100_000_000
#: Invocations at a time, streams among them; and as many WebSocket connections.
MAX_INVOCATIONS = 1_000
#: Synchronous entrypoints at a time.
MAX_CALL_THREADS = 64
#: Synchronous tasks at a time.
MAX_TASK_THREADS = 256
#: Bytes of JSON that are kept of a task's return value.
MAX_RESULT_BYTES = 1024 * 1024
#: Seconds that an answer waits for the tasks that it may speak of to be durable.
ACK_TIMEOUT = 10.0
