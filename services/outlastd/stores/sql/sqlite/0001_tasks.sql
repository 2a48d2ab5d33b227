-- Tasks, their events, and the workers that run them.
-- Times are microseconds since the Unix epoch, UTC. JSON of users is kept as the bytes that it came in, never parsed.
-- The states are those of outlast.core.state: 1 SUBMITTED, 2 WORKING, 3 COMPLETED, 4 FAILED, 5 CANCELED,
-- 6 INPUT_REQUIRED, 7 REJECTED, 8 AUTH_REQUIRED.

-- One row a counter; a lease takes the next epoch.
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO counters (name, value) VALUES ('epoch', 0);

CREATE TABLE workers (
    worker_id        TEXT PRIMARY KEY,
    agent            TEXT NOT NULL,
    epoch            INTEGER NOT NULL UNIQUE,
    -- Written in the transaction that applies the operations: a replay at or below it does nothing.
    applied_sequence INTEGER NOT NULL DEFAULT 0,
    lock_path        TEXT NOT NULL DEFAULT '',
    registered_at    INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE tasks (
    task_id             INTEGER PRIMARY KEY CHECK (task_id > 0),
    task_type           TEXT NOT NULL,
    agent               TEXT NOT NULL,
    state               INTEGER NOT NULL CHECK (state BETWEEN 1 AND 8),
    state_reason        TEXT NOT NULL,
    session_id          TEXT NOT NULL,
    request_id          TEXT NOT NULL,
    worker_id           TEXT NOT NULL,
    epoch               INTEGER NOT NULL,
    created_by_worker   TEXT NOT NULL,
    created_by_sequence INTEGER NOT NULL,
    attempt             INTEGER NOT NULL CHECK (attempt >= 0),
    max_attempts        INTEGER NOT NULL CHECK (max_attempts >= 1),
    generation          INTEGER NOT NULL CHECK (generation >= 1),
    progress_fraction   REAL,
    progress_message    TEXT,
    -- NULL where the task has reported no progress.
    progress_at         INTEGER,
    -- NULL where there is no error.
    error_code          INTEGER,
    error_message       TEXT,
    error_type          TEXT,
    labels              BLOB,
    traceparent         TEXT NOT NULL,
    tracestate          TEXT NOT NULL,
    idempotency_key     TEXT NOT NULL,
    timeout             INTEGER,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    cancel_requested_at INTEGER,
    expires_at          INTEGER,
    started_at          INTEGER,
    ended_at            INTEGER,
    -- Last, so that a list reads rows without walking through what may be large.
    metadata            BLOB,
    input               BLOB,
    result              BLOB
);

-- Lists go newest first, and from one page to the next by (created_at, task_id).
CREATE INDEX tasks_by_creation ON tasks (created_at, task_id);
CREATE INDEX tasks_by_state ON tasks (state, created_at, task_id);
CREATE INDEX tasks_by_agent ON tasks (agent, created_at, task_id);
CREATE INDEX tasks_by_session ON tasks (session_id, created_at, task_id) WHERE session_id <> '';
-- The tasks that a worker holds: started and not terminal.
CREATE INDEX tasks_held ON tasks (worker_id) WHERE state IN (2, 6, 8);
-- The same key of the same agent is the same task.
CREATE UNIQUE INDEX tasks_by_idempotency_key ON tasks (agent, idempotency_key) WHERE idempotency_key <> '';

-- Terminal is final: nothing but deletion touches a terminal task.
CREATE TRIGGER terminal_is_final
BEFORE UPDATE ON tasks
WHEN OLD.state IN (3, 4, 5, 7)
BEGIN
    SELECT RAISE(ABORT, 'a terminal task never changes');
END;

-- What changed, numbered for each task without a gap. The result is kept on the task only.
CREATE TABLE events (
    task_id           INTEGER NOT NULL REFERENCES tasks (task_id) ON DELETE CASCADE,
    generation        INTEGER NOT NULL CHECK (generation >= 1),
    kind              INTEGER NOT NULL,
    at                INTEGER NOT NULL,
    state             INTEGER NOT NULL CHECK (state BETWEEN 1 AND 8),
    state_reason      TEXT NOT NULL,
    attempt           INTEGER NOT NULL,
    progress_fraction REAL,
    progress_message  TEXT,
    progress_at       INTEGER,
    error_code        INTEGER,
    error_message     TEXT,
    error_type        TEXT,
    output            BLOB,
    PRIMARY KEY (task_id, generation)
) WITHOUT ROWID;

CREATE TRIGGER events_never_change
BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'an event never changes');
END;
