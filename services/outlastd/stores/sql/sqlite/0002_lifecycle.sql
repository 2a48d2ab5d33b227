-- compatible-from: 1
-- Leases, retries, cancels that end by themselves, idempotency keys that expire, the events of a session, span outbox.
-- Processes of the code before this file may have the database open and go on writing to it: every new column has a
-- default for them, and the last trigger numbers their events.
-- The tables are made anew, so that the new columns stand before what may be large: a list does not walk through it.

INSERT INTO counters (name, value) VALUES ('event', 0);

-- Operations up to this sequence were applied under an epoch that is lost.
ALTER TABLE workers ADD COLUMN lost_sequence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN session_id TEXT NOT NULL DEFAULT '';
-- A JSON array.
ALTER TABLE workers ADD COLUMN task_types BLOB NOT NULL DEFAULT '[]';
ALTER TABLE workers ADD COLUMN draining INTEGER NOT NULL DEFAULT 0;
-- Until when the lease holds; NULL once it is lost. A worker that older code has registered renews none: the last
-- moment of the year 9999, since only its lock file tells whether it lives.
ALTER TABLE workers ADD COLUMN lease_until INTEGER DEFAULT 253402300799000000;
-- When the lease was lost; NULL while it is not.
ALTER TABLE workers ADD COLUMN lost_at INTEGER;

-- One without a lock file gets a minute to connect again.
UPDATE workers SET lease_until = (CAST(strftime('%s', 'now') AS INTEGER) + 60) * 1000000 WHERE lock_path = '';

-- The workers that live, and those whose lease has run out.
CREATE INDEX workers_by_lease ON workers (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX workers_by_agent ON workers (agent) WHERE lease_until IS NOT NULL;
CREATE INDEX workers_lost ON workers (lost_at) WHERE lost_at IS NOT NULL;

CREATE TABLE new_tasks (
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
    -- Microseconds.
    timeout             INTEGER,
    backoff             INTEGER,
    queue_timeout       INTEGER,
    manual              INTEGER NOT NULL DEFAULT 0,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    cancel_requested_at INTEGER,
    expires_at          INTEGER,
    started_at          INTEGER,
    ended_at            INTEGER,
    next_attempt_at     INTEGER,
    queue_until         INTEGER,
    cancel_until        INTEGER,
    -- Last, so that a list reads rows without walking through what may be large.
    metadata            BLOB,
    input               BLOB,
    result              BLOB
);

-- Nobody has said until when a task is kept that has ended before this: for 7 days from now. (One that older code ends
-- after this has no such time either, and is kept until somebody deletes it.)
INSERT INTO new_tasks (
    task_id, task_type, agent, state, state_reason, session_id, request_id, worker_id, epoch, created_by_worker,
    created_by_sequence, attempt, max_attempts, generation, progress_fraction, progress_message, progress_at,
    error_code, error_message, error_type, labels, traceparent, tracestate, idempotency_key, timeout, created_at,
    updated_at, cancel_requested_at, expires_at, started_at, ended_at, metadata, input, result
)
SELECT
    task_id, task_type, agent, state, state_reason, session_id, request_id, worker_id, epoch, created_by_worker,
    created_by_sequence, attempt, max_attempts, generation, progress_fraction, progress_message, progress_at,
    error_code, error_message, error_type, labels, traceparent, tracestate, idempotency_key, timeout, created_at,
    updated_at, cancel_requested_at,
    CASE WHEN state IN (3, 4, 5, 7) THEN (CAST(strftime('%s', 'now') AS INTEGER) + 7 * 86400) * 1000000 END,
    started_at, ended_at, metadata, input, result
FROM tasks;

CREATE TABLE new_events (
    task_id           INTEGER NOT NULL REFERENCES tasks (task_id) ON DELETE CASCADE,
    generation        INTEGER NOT NULL CHECK (generation >= 1),
    -- The number of the event among all: one writer at a time counts them in its transaction, so that they are in the
    -- order of the commits. NULL only until the last trigger of this file has seen to it.
    seq               INTEGER,
    -- The task's.
    session_id        TEXT NOT NULL DEFAULT '',
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

-- What was committed in which order is not on record for the events so far: nobody has read them by number yet.
INSERT INTO new_events (
    task_id, generation, seq, session_id, kind, at, state, state_reason, attempt, progress_fraction, progress_message,
    progress_at, error_code, error_message, error_type, output
)
SELECT
    events.task_id, events.generation, row_number() OVER (ORDER BY at, events.task_id, events.generation),
    tasks.session_id, kind, at, events.state, events.state_reason, events.attempt, events.progress_fraction,
    events.progress_message, events.progress_at, events.error_code, events.error_message, events.error_type, output
FROM events JOIN tasks ON tasks.task_id = events.task_id;

UPDATE counters SET value = (SELECT count(*) FROM new_events) WHERE name = 'event';

DROP TABLE events;
DROP TABLE tasks;
ALTER TABLE new_tasks RENAME TO tasks;
ALTER TABLE new_events RENAME TO events;

-- Lists go newest first, and from one page to the next by (created_at, task_id).
CREATE INDEX tasks_by_creation ON tasks (created_at, task_id);
CREATE INDEX tasks_by_state ON tasks (state, created_at, task_id);
CREATE INDEX tasks_by_agent ON tasks (agent, created_at, task_id);
CREATE INDEX tasks_by_session ON tasks (session_id, created_at, task_id) WHERE session_id <> '';
-- The tasks that a worker holds: those that were started, by a name and a term that older code asks for, and those that
-- wait inside it.
CREATE INDEX tasks_held ON tasks (worker_id) WHERE state IN (2, 6, 8);
CREATE INDEX tasks_held_waiting ON tasks (worker_id) WHERE state = 1 AND worker_id <> '';
-- The tasks that any worker may claim, the oldest first, with what decides which one.
CREATE INDEX tasks_claimable
    ON tasks (agent, state, worker_id, created_at, task_id, task_type, session_id, next_attempt_at)
    WHERE state = 1 AND worker_id = '';
CREATE INDEX tasks_cancel_requested ON tasks (worker_id) WHERE cancel_requested_at IS NOT NULL AND state IN (2, 6, 8);
-- What is due at some time. A terminal task has neither of the first two.
CREATE INDEX tasks_by_queue_until ON tasks (queue_until) WHERE queue_until IS NOT NULL;
CREATE INDEX tasks_by_cancel_until ON tasks (cancel_until) WHERE cancel_until IS NOT NULL;
CREATE INDEX tasks_by_expiry ON tasks (expires_at) WHERE expires_at IS NOT NULL;
-- The events of a session.
CREATE INDEX events_by_session ON events (session_id, seq) WHERE session_id <> '';

-- Terminal is final: nothing but deletion touches a terminal task.
CREATE TRIGGER terminal_is_final
BEFORE UPDATE ON tasks
WHEN OLD.state IN (3, 4, 5, 7)
BEGIN
    SELECT RAISE(ABORT, 'a terminal task never changes');
END;

CREATE TRIGGER events_never_change
BEFORE UPDATE ON events
WHEN OLD.seq IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'an event never changes');
END;

-- What makes a repeated request one task, until it expires. What is the same request is read from the task.
CREATE TABLE idempotency_keys (
    caller     TEXT NOT NULL,
    agent      TEXT NOT NULL,
    key        TEXT NOT NULL,
    task_id    INTEGER NOT NULL REFERENCES tasks (task_id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (caller, agent, key)
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
CREATE INDEX idempotency_keys_by_task ON idempotency_keys (task_id);

INSERT INTO idempotency_keys (caller, agent, key, task_id, expires_at)
SELECT '', agent, idempotency_key, task_id, created_at + 86400000000 FROM tasks WHERE idempotency_key <> '';

-- Terminal tasks whose spans wait for export.
CREATE TABLE span_outbox (
    task_id       INTEGER PRIMARY KEY REFERENCES tasks (task_id) ON DELETE CASCADE,
    -- Somebody is at it until then.
    claimed_until INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX span_outbox_by_claim ON span_outbox (claimed_until, task_id);

-- Older code writes events without a number.
CREATE TRIGGER events_of_older_code
AFTER INSERT ON events
WHEN NEW.seq IS NULL
BEGIN
    UPDATE counters SET value = value + 1 WHERE name = 'event';
    UPDATE events
       SET seq = (SELECT value FROM counters WHERE name = 'event'),
           session_id = (SELECT session_id FROM tasks WHERE task_id = NEW.task_id)
     WHERE task_id = NEW.task_id AND generation = NEW.generation;
END;
