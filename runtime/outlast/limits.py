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
#: Tasks that a worker is given from outside at a time: it counts all that live in it.
MAX_TASKS = 1_000
#: Tasks that may wait inside a worker for a thread; more are refused.
MAX_WAITING_TASKS = 10_000
#: Bytes of one task's output that may wait for the task manager.
MAX_UNACKNOWLEDGED_OUTPUT = 1024 * 1024
#: Seconds that one WaitTask waits (task_service.proto); who wants to wait longer asks again.
WAIT_SECONDS = 60.0
#: Seconds after which a task that is tracked by hand and still open is worth a warning.
MANUAL_TASK_WARNING = 8 * 3600.0
#: Bytes of JSON that are kept of a task's return value.
MAX_RESULT_BYTES = 1024 * 1024
#: Seconds that an answer waits for the tasks that it may speak of to be durable.
ACK_TIMEOUT = 10.0
#: Bytes that the path of a Unix socket may have on every system (104 on macOS, with its end).
MAX_SOCKET_PATH = 103
