-- compatible-from: 1
-- What is written travels as rows: one array of them costs a fraction of one array a column, here and on the way.
-- Their columns are in the order of stores/rows.py. A type never changes, because processes of another version may use
-- it at the same time: columns that differ are a type of another name.

-- A task as it is made.
CREATE TYPE new_task AS (
    task_id             bigint,
    task_type           text,
    agent               text,
    session_id          text,
    request_id          text,
    created_by_worker   text,
    created_by_sequence bigint,
    max_attempts        bigint,
    labels              bytea,
    traceparent         text,
    tracestate          text,
    idempotency_key     text,
    timeout             bigint,
    backoff             bigint,
    queue_timeout       bigint,
    manual              boolean,
    created_at          bigint,
    metadata            bytea,
    input               bytea,
    state               smallint,
    state_reason        text,
    worker_id           text,
    epoch               bigint,
    attempt             bigint,
    generation          bigint,
    progress_fraction   double precision,
    progress_message    text,
    progress_at         bigint,
    error_code          bigint,
    error_message       text,
    error_type          text,
    updated_at          bigint,
    cancel_requested_at bigint,
    expires_at          bigint,
    started_at          bigint,
    ended_at            bigint,
    next_attempt_at     bigint,
    queue_until         bigint,
    cancel_until        bigint,
    result              bytea
);

-- What a change makes of a task: which one, the generation that it had before, and what it is now.
CREATE TYPE changed_task AS (
    task_id             bigint,
    known_generation    bigint,
    state               smallint,
    state_reason        text,
    worker_id           text,
    epoch               bigint,
    attempt             bigint,
    generation          bigint,
    progress_fraction   double precision,
    progress_message    text,
    progress_at         bigint,
    error_code          bigint,
    error_message       text,
    error_type          text,
    updated_at          bigint,
    cancel_requested_at bigint,
    expires_at          bigint,
    started_at          bigint,
    ended_at            bigint,
    next_attempt_at     bigint,
    queue_until         bigint,
    cancel_until        bigint,
    result              bytea
);

-- What a report makes of a task, which changes nothing else of it.
CREATE TYPE reported_task AS (
    task_id           bigint,
    known_generation  bigint,
    generation        bigint,
    progress_fraction double precision,
    progress_message  text,
    progress_at       bigint,
    updated_at        bigint
);

-- An event, and its task's session.
CREATE TYPE new_event AS (
    task_id           bigint,
    generation        bigint,
    kind              smallint,
    at                bigint,
    state             smallint,
    state_reason      text,
    attempt           bigint,
    progress_fraction double precision,
    progress_message  text,
    progress_at       bigint,
    error_code        bigint,
    error_message     text,
    error_type        text,
    output            bytea,
    session_id        text
);
