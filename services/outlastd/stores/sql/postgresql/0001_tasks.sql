-- compatible-from: 1
-- Tasks, their events, the workers that run them with their leases, idempotency keys, and the span outbox.
-- All of it is in the schema "outlast", which the search path of every connection names: the database may be shared
-- with other programs.
-- Times are microseconds since the Unix epoch, UTC; durations are microseconds. JSON of users is kept as the bytes that
-- it came in, never parsed. The states are those of outlast.core.state: 1 SUBMITTED, 2 WORKING, 3 COMPLETED, 4 FAILED,
-- 5 CANCELED, 6 INPUT_REQUIRED, 7 REJECTED, 8 AUTH_REQUIRED.

-- A lease takes the next epoch.
CREATE SEQUENCE epochs;

-- One row a worker, written with every batch of its operations: room in each page, and no index on what changes, let
-- PostgreSQL do that in place.
CREATE TABLE workers (
    worker_id        text PRIMARY KEY,
    agent            text NOT NULL,
    epoch            bigint NOT NULL,
    -- Written in the transaction that applies the operations: a replay at or below it does nothing.
    applied_sequence bigint NOT NULL,
    -- Operations up to this sequence were applied under an epoch that is lost.
    lost_sequence    bigint NOT NULL,
    lock_path        text NOT NULL,
    session_id       text NOT NULL,
    -- A JSON array.
    task_types       bytea NOT NULL,
    draining         boolean NOT NULL,
    -- Until when the lease holds; NULL once it is lost.
    lease_until      bigint,
    -- When the lease was lost; NULL while it is not.
    lost_at          bigint,
    registered_at    bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE tasks (
    task_id             bigint PRIMARY KEY CHECK (task_id > 0),
    task_type           text NOT NULL,
    agent               text NOT NULL,
    state               smallint NOT NULL CHECK (state BETWEEN 1 AND 8),
    state_reason        text NOT NULL,
    session_id          text NOT NULL,
    -- What an index can hold of a session, however long its name.
    session_key         bigint GENERATED ALWAYS AS
                            (CASE WHEN session_id <> '' THEN hashtextextended(session_id, 0) END) STORED,
    request_id          text NOT NULL,
    worker_id           text NOT NULL,
    epoch               bigint NOT NULL,
    created_by_worker   text NOT NULL,
    created_by_sequence bigint NOT NULL,
    attempt             bigint NOT NULL CHECK (attempt >= 0),
    max_attempts        bigint NOT NULL CHECK (max_attempts >= 1),
    generation          bigint NOT NULL CHECK (generation >= 1),
    progress_fraction   double precision,
    progress_message    text,
    -- NULL where the task has reported no progress.
    progress_at         bigint,
    -- NULL where there is no error.
    error_code          bigint,
    error_message       text,
    error_type          text,
    labels              bytea,
    traceparent         text NOT NULL,
    tracestate          text NOT NULL,
    idempotency_key     text NOT NULL,
    timeout             bigint,
    backoff             bigint,
    queue_timeout       bigint,
    manual              boolean NOT NULL,
    created_at          bigint NOT NULL,
    updated_at          bigint NOT NULL,
    cancel_requested_at bigint,
    expires_at          bigint CHECK (expires_at IS NULL OR state IN (3, 4, 5, 7)),
    started_at          bigint,
    ended_at            bigint,
    next_attempt_at     bigint,
    queue_until         bigint,
    cancel_until        bigint,
    metadata            bytea,
    input               bytea,
    result              bytea
) WITH (fillfactor = 80);  -- progress and output change no index: with room in the page they are written in place

-- Lists go newest first, and from one page to the next by (created_at, task_id).
CREATE INDEX tasks_by_creation ON tasks (created_at, task_id);
CREATE INDEX tasks_by_state ON tasks (state, created_at, task_id);
CREATE INDEX tasks_by_agent ON tasks (agent, created_at, task_id);
CREATE INDEX tasks_by_session ON tasks (session_key, created_at, task_id) WHERE session_key IS NOT NULL;
-- The tasks that a worker holds.
CREATE INDEX tasks_held ON tasks (worker_id) WHERE worker_id <> '' AND state IN (1, 2, 6, 8);
-- The tasks that any worker may claim, the oldest first.
CREATE INDEX tasks_claimable ON tasks (agent, created_at, task_id) WHERE state = 1 AND worker_id = '';
CREATE INDEX tasks_cancel_requested ON tasks (worker_id) WHERE cancel_requested_at IS NOT NULL AND state IN (2, 6, 8);
-- What is due at some time. A terminal task has neither of the first two.
CREATE INDEX tasks_by_queue_until ON tasks (queue_until) WHERE queue_until IS NOT NULL;
CREATE INDEX tasks_by_cancel_until ON tasks (cancel_until) WHERE cancel_until IS NOT NULL;
CREATE INDEX tasks_by_expiry ON tasks (expires_at) WHERE expires_at IS NOT NULL;

-- What changed, numbered for each task without a gap. The result is kept on the task only.
CREATE TABLE events (
    task_id           bigint NOT NULL,
    generation        bigint NOT NULL CHECK (generation >= 1),
    -- With the number, the order in which sessions are read: a reader takes only what lies below the oldest transaction
    -- that is still open, so that nothing is ever committed behind its back.
    transaction       xid8 NOT NULL DEFAULT pg_current_xact_id(),
    number            bigint GENERATED ALWAYS AS IDENTITY,
    -- The task's.
    session_key       bigint,
    kind              smallint NOT NULL,
    at                bigint NOT NULL,
    state             smallint NOT NULL CHECK (state BETWEEN 1 AND 8),
    state_reason      text NOT NULL,
    attempt           bigint NOT NULL,
    progress_fraction double precision,
    progress_message  text,
    progress_at       bigint,
    error_code        bigint,
    error_message     text,
    error_type        text,
    output            bytea,
    PRIMARY KEY (task_id, generation)
);

-- The events of a session.
CREATE INDEX events_by_session ON events (session_key, transaction, number) WHERE session_key IS NOT NULL;

-- What makes a repeated request one task, until it expires. What is the same request is read from the task.
CREATE TABLE idempotency_keys (
    -- Of caller, agent and key, which together are too long for an index.
    digest     bytea PRIMARY KEY,
    task_id    bigint NOT NULL,
    expires_at bigint NOT NULL
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
CREATE INDEX idempotency_keys_by_task ON idempotency_keys (task_id);

-- Terminal tasks whose spans wait for export.
CREATE TABLE span_outbox (
    task_id       bigint PRIMARY KEY,
    -- Somebody is at it until then.
    claimed_until bigint NOT NULL DEFAULT 0
);
CREATE INDEX span_outbox_by_claim ON span_outbox (claimed_until, task_id);

-- What a statement calls when the rows are not as its sender knew them: nothing of it is written then.
CREATE FUNCTION stale() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE EXCEPTION 'the rows are not as they were' USING ERRCODE = 'OL001';
END $$;

-- Terminal is final: nothing but deletion touches a terminal task.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER terminal_is_final BEFORE UPDATE ON tasks
    FOR EACH ROW WHEN (OLD.state IN (3, 4, 5, 7))
    EXECUTE FUNCTION refuse_change('a terminal task never changes');

CREATE TRIGGER events_never_change BEFORE UPDATE ON events
    FOR EACH ROW EXECUTE FUNCTION refuse_change('an event never changes');

-- What belongs to a task goes with it. (Foreign keys would ask for the task with every event, and it is always there.)
CREATE FUNCTION delete_what_belongs_to_tasks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM outlast.events USING gone WHERE events.task_id = gone.task_id;
    DELETE FROM outlast.idempotency_keys USING gone WHERE idempotency_keys.task_id = gone.task_id;
    DELETE FROM outlast.span_outbox USING gone WHERE span_outbox.task_id = gone.task_id;
    RETURN NULL;
END $$;

CREATE TRIGGER tasks_go AFTER DELETE ON tasks
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION delete_what_belongs_to_tasks();
