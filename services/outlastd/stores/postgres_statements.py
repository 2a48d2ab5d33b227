"""The SQL that PostgreSQL is asked to read, by name. What the tables look like is in sql/postgresql/."""

from __future__ import annotations

from collections.abc import Sequence

from outlastd.stores.rows import BASIC_COLUMNS, EVENT_COLUMNS, FULL_COLUMNS, WORKER_COLUMNS
from outlastd.stores.session_rows import SESSION_CHANGING, SESSION_COLUMNS


def columns(names: Sequence[str], table: str = "") -> str:
    """Return names as a list of columns, of a table where one is named."""
    return ", ".join(f"{table}.{name}" if table else name for name in names)


#: The time by the database's clock, in microseconds.
CLOCK = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
#: A task that may be held by a worker: as the partial index tasks_held has it.
_HELD = "worker_id <> '' AND state IN (1, 2, 6, 8)"

GET_CLOCK = f"SELECT {CLOCK}"

#: A task without metadata, input and result.
SELECT_BASIC = f"SELECT {columns(BASIC_COLUMNS)} FROM tasks"
#: A whole task.
SELECT_FULL = f"SELECT {columns(FULL_COLUMNS)} FROM tasks"

#: One task. (task_id)
GET_TASK = f"{SELECT_FULL} WHERE task_id = $1"
#: Those that exist of some tasks. (task ids)
GET_TASKS = f"{SELECT_FULL} WHERE task_id = ANY($1::bigint[])"
#: Those that exist of some tasks, without what may be large. (task ids)
GET_BASIC_TASKS = f"{SELECT_BASIC} WHERE task_id = ANY($1::bigint[])"
_HELD_BY = f"""
     WHERE worker_id = $1 AND {_HELD} AND epoch = (SELECT epoch FROM workers WHERE worker_id = $1)
     ORDER BY created_at, task_id
"""
#: The tasks that a worker holds under its epoch. (worker_id)
GET_HELD = SELECT_FULL + _HELD_BY
#: The same without what may be large.
GET_BASIC_HELD = SELECT_BASIC + _HELD_BY
#: The tasks that a worker holds, for who takes them away. (worker_id)
LOCK_HELD = f"{SELECT_FULL} WHERE worker_id = $1 AND {_HELD} ORDER BY task_id FOR UPDATE"
#: The tasks that a worker may claim, the oldest first. (agent, types, session, now, limit)
LOCK_CLAIMABLE = f"""
    {SELECT_FULL}
     WHERE agent = $1 AND state = 1 AND worker_id = '' AND task_type = ANY($2::text[])
       AND ($3::text = '' OR session_id = $3) AND (next_attempt_at IS NULL OR next_attempt_at <= $4::bigint)
     ORDER BY created_at, task_id
     LIMIT $5
     FOR UPDATE SKIP LOCKED
"""
#: A worker, and the oldest tasks that it may claim, in any order; one row without a task where there is none. Nothing
#: is locked: whoever writes by it has the database compare. (worker_id, epoch, now, limit)
GET_CLAIMABLE = f"""
    SELECT {columns(WORKER_COLUMNS, "workers")}, {columns(FULL_COLUMNS, "claimable")}
      FROM workers LEFT JOIN LATERAL (
           SELECT * FROM tasks
            WHERE tasks.agent = workers.agent AND state = 1 AND tasks.worker_id = ''
              AND task_type = ANY(ARRAY(
                  SELECT jsonb_array_elements_text(convert_from(workers.task_types, 'UTF8')::jsonb)))
              AND (workers.session_id = '' OR tasks.session_id = workers.session_id)
              AND (next_attempt_at IS NULL OR next_attempt_at <= $3::bigint)
            ORDER BY tasks.created_at, task_id
            LIMIT $4) AS claimable ON true
     WHERE workers.worker_id = $1 AND workers.epoch = $2 AND NOT workers.draining
"""
#: The tasks that have waited too long. (now, limit)
LOCK_OVERDUE = f"""
    {SELECT_FULL}
     WHERE task_id = ANY(ARRAY(
           SELECT task_id FROM tasks WHERE queue_until <= $1::bigint
           UNION ALL
           SELECT task_id FROM tasks WHERE cancel_until <= $1::bigint
           LIMIT $2))
     ORDER BY task_id
     FOR UPDATE SKIP LOCKED
"""
#: The tasks that some workers hold and somebody has asked to cancel. (worker ids)
GET_CANCEL_REQUESTS = f"""
    {SELECT_BASIC}
     WHERE worker_id = ANY($1::text[]) AND cancel_requested_at IS NOT NULL AND state IN (2, 6, 8)
     ORDER BY cancel_requested_at, task_id
"""
#: How many tasks have not ended, by agent and state; how many of them any worker may begin, and since when the first of
#: these has waited. (now)
GET_CENSUS = """
    SELECT agent, state, count(*), count(since), min(since)
      FROM (SELECT agent, state,
                   CASE WHEN state = 1 AND worker_id = '' AND coalesce(next_attempt_at, 0) <= $1::bigint
                        THEN greatest(updated_at, next_attempt_at) END AS since
              FROM tasks
             WHERE state IN (1, 2, 6, 8)) AS active
     GROUP BY agent, state
"""
#: What a new task depends on: whether its id is taken, how many wait, and the living workers of its agent, but those
#: that cannot run it for sure; one row without a worker where there is none.
#: (task_id, agent, where to stop counting, session_id)
GET_ROOM = f"""
    SELECT taken, waiting, {columns(WORKER_COLUMNS, "workers")}
      FROM (SELECT EXISTS (SELECT FROM tasks WHERE task_id = $1) AS taken,
                   (SELECT count(*) FROM
                       (SELECT FROM tasks WHERE agent = $2 AND state = 1 AND worker_id = '' LIMIT $3::bigint) AS waiting
                   ) AS waiting) AS room
           LEFT JOIN workers ON workers.agent = $2 AND workers.lease_until IS NOT NULL AND NOT workers.draining
                                AND workers.session_id IN ('', $4)
"""
#: The task that a key has made and still stands for. (digest, now)
GET_BY_KEY = f"""
    {SELECT_FULL}
     WHERE task_id = (SELECT task_id FROM idempotency_keys WHERE digest = $1 AND expires_at > $2::bigint)
"""
#: A terminal task goes. (task_id)
DELETE_TASK = "DELETE FROM tasks WHERE task_id = $1 AND state IN (3, 4, 5, 7) RETURNING 1"
#: Terminal tasks whose time has come. (now, limit)
DELETE_EXPIRED_TASKS = """
    DELETE FROM tasks WHERE task_id = ANY(ARRAY(
        SELECT task_id FROM tasks WHERE expires_at <= $1::bigint ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))
    RETURNING task_id
"""
#: Keys that have expired. (now, limit)
DELETE_EXPIRED_KEYS = """
    DELETE FROM idempotency_keys WHERE digest = ANY(ARRAY(
        SELECT digest FROM idempotency_keys
         WHERE expires_at <= $1::bigint ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))
"""
#: Workers that lost their lease long ago. They hold nothing: what is done under the next epoch renews a lease.
#: (lost before, limit)
DELETE_LOST_WORKERS = """
    DELETE FROM workers WHERE worker_id = ANY(ARRAY(
        SELECT worker_id FROM workers WHERE lost_at <= $1::bigint LIMIT $2 FOR UPDATE SKIP LOCKED))
"""

#: What ``rows.event_from_row`` reads: an event, with the result that belongs to the one that completed its task.
_SELECT_EVENT = f"SELECT {columns(EVENT_COLUMNS, 'events')}, CASE WHEN events.state = 3 THEN tasks.result END"
#: Events of a task; one row of nothing where it has none. (task_id, after generation, limit)
GET_EVENTS = f"""
    {_SELECT_EVENT}
      FROM tasks LEFT JOIN LATERAL (
           SELECT * FROM events WHERE events.task_id = $1 AND generation > $2 ORDER BY generation LIMIT $3
           ) AS events ON true
     WHERE tasks.task_id = $1
     ORDER BY events.generation
"""
#: The moves of some tasks from state to state, without results. (task ids)
GET_MOVES = f"""
    SELECT {columns(EVENT_COLUMNS)}, NULL
      FROM events
     WHERE task_id = ANY($1::bigint[]) AND kind = 1
     ORDER BY task_id, generation
"""
#: The oldest transaction that is still open: events of those before it are all there.
GET_HORIZON = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
#: Events of a session, each with its place first. (session_id, after transaction, after number, agent, limit)
GET_SESSION_EVENTS = f"""
    {_SELECT_EVENT.replace("SELECT", "SELECT events.transaction::text, events.number,", 1)}
      FROM events JOIN tasks ON tasks.task_id = events.task_id
     WHERE events.session_key = hashtextextended($1, 0) AND tasks.session_id = $1
       AND (events.transaction, events.number) > ($2::text::xid8, $3::bigint)
       AND events.transaction < pg_snapshot_xmin(pg_current_snapshot())
       AND ($4::text = '' OR tasks.agent = $4)
     ORDER BY events.transaction, events.number
     LIMIT $5
"""

#: Tasks from the outbox that nobody is at, for some time. (now, limit, until)
CLAIM_OUTBOX = """
    UPDATE span_outbox SET claimed_until = $3
     WHERE task_id = ANY(ARRAY(
           SELECT task_id FROM span_outbox WHERE claimed_until <= $1::bigint
            ORDER BY claimed_until, task_id LIMIT $2 FOR UPDATE SKIP LOCKED))
    RETURNING task_id
"""
#: Their spans are exported. (task ids)
DROP_FROM_OUTBOX = "DELETE FROM span_outbox WHERE task_id = ANY($1::bigint[])"

_SELECT_WORKER = f"SELECT {columns(WORKER_COLUMNS)} FROM workers"
#: One worker. (worker_id)
GET_WORKER = f"{_SELECT_WORKER} WHERE worker_id = $1"
#: Those that exist of some workers. (worker ids)
GET_WORKERS = f"{_SELECT_WORKER} WHERE worker_id = ANY($1::text[])"
#: A worker that is not to change until the transaction ends. (worker_id)
SHARE_WORKER = f"{GET_WORKER} FOR SHARE"
#: A worker that the transaction is to change. (worker_id)
LOCK_WORKER = f"{GET_WORKER} FOR UPDATE"
#: The workers whose lease nobody has taken away.
GET_LIVING_WORKERS = f"{_SELECT_WORKER} WHERE lease_until IS NOT NULL ORDER BY epoch"
#: A lease that has run out.
_EXPIRED = f"lease_until <= least($2::bigint, coalesce($3::bigint, {CLOCK}))"
#: The workers whose lease has run out. (those to spare, by when or NULL, now or NULL, limit)
GET_EXPIRED_WORKERS = f"""
    SELECT worker_id FROM workers WHERE {_EXPIRED} AND worker_id <> ALL($1::text[]) ORDER BY epoch LIMIT $4
"""
#: A worker whose lease has run out, unless somebody else is at it. (worker_id, by when or NULL, now or NULL)
LOCK_EXPIRED_WORKER = f"{_SELECT_WORKER} WHERE worker_id = $1 AND {_EXPIRED} FOR UPDATE SKIP LOCKED"
#: A worker that connects again. (worker_id, agent, lock_path, session_id, task_types, draining, now or NULL, ttl)
UPDATE_WORKER = f"""
    UPDATE workers
       SET agent = $2, lock_path = $3, session_id = $4, task_types = $5, draining = $6,
           lease_until = coalesce($7::bigint, {CLOCK}) + $8::bigint, lost_at = NULL
     WHERE worker_id = $1
    RETURNING {columns(WORKER_COLUMNS)}
"""
#: A new worker, unless somebody else has just made it. (as UPDATE_WORKER)
INSERT_WORKER = f"""
    INSERT INTO workers (worker_id, agent, lock_path, session_id, task_types, draining, lease_until,
                         epoch, applied_sequence, lost_sequence, registered_at)
    SELECT $1, $2, $3, $4, $5, $6, now + $8::bigint, nextval('epochs'), 0, 0, now
      FROM (SELECT coalesce($7::bigint, {CLOCK}) AS now) AS clock
    ON CONFLICT (worker_id) DO NOTHING
    RETURNING {columns(WORKER_COLUMNS)}
"""
#: Signs of life; who drains goes on draining. The rows are locked in one order whatever the plan, so that two processes
#: which renew leases of the same workers do not wait for each other. (worker ids, epochs, draining, now or NULL, ttl)
RENEW_LEASES = f"""
    WITH held AS (
        SELECT workers.worker_id, renewals.draining
          FROM unnest($1::text[], $2::bigint[], $3::boolean[]) AS renewals (worker_id, epoch, draining)
               JOIN workers ON workers.worker_id = renewals.worker_id AND workers.epoch = renewals.epoch
         ORDER BY workers.worker_id
           FOR NO KEY UPDATE OF workers)
    UPDATE workers
       SET lease_until = coalesce($4::bigint, {CLOCK}) + $5::bigint, draining = workers.draining OR held.draining,
           lost_at = NULL
      FROM held
     WHERE workers.worker_id = held.worker_id
    RETURNING workers.worker_id
"""
#: A worker has lost its lease. (worker_id, now or NULL)
LOSE_LEASE = f"""
    UPDATE workers
       SET epoch = nextval('epochs'), lost_sequence = applied_sequence, lease_until = NULL,
           lost_at = coalesce($2::bigint, {CLOCK})
     WHERE worker_id = $1
"""

#: A whole session.
SELECT_SESSION = f"SELECT {columns(SESSION_COLUMNS)} FROM sessions"
#: One session. (digest)
GET_SESSION = f"{SELECT_SESSION} WHERE digest = $1"
#: The next epoch, and the session that is to have it, where it is known. (digest)
GET_SESSION_TO_BEGIN = f"""
    SELECT nextval('epochs'), {columns(SESSION_COLUMNS, "sessions")}
      FROM (VALUES (1)) AS one LEFT JOIN sessions ON digest = $1
"""
#: The sessions of a host that have not ended, for who ends them. (host)
LOCK_LIVING_SESSIONS = f"{SELECT_SESSION} WHERE host = $1 AND state <> 4 ORDER BY digest FOR UPDATE"
#: A new session, unless somebody else has just made it. (digest, SESSION_COLUMNS)
INSERT_SESSION = f"""
    INSERT INTO sessions (digest, {columns(SESSION_COLUMNS)})
    VALUES ({columns([f"${number}" for number in range(1, len(SESSION_COLUMNS) + 2)])})
    ON CONFLICT (digest) DO NOTHING
    RETURNING 1
"""
_SESSION_TYPES = {"state": "smallint", **dict.fromkeys(("host", "end_reason", "end_message"), "text")}
_SESSION_ARRAYS = [f"{_SESSION_TYPES.get(name, 'bigint')}[]" for name in SESSION_CHANGING]
#: Changed sessions, those that are as they were. (arrays: digest, epoch and state as they were, SESSION_CHANGING)
UPDATE_SESSIONS = f"""
    UPDATE sessions SET {columns([f"{name} = rows.{name}" for name in SESSION_CHANGING])}
      FROM unnest($1::bytea[], $2::bigint[], $3::smallint[],
                  {columns([f"${number}::{kind}" for number, kind in enumerate(_SESSION_ARRAYS, 4)])})
           AS rows (digest, known_epoch, known_state, {columns(SESSION_CHANGING)})
     WHERE sessions.digest = rows.digest AND sessions.epoch = rows.known_epoch AND sessions.state = rows.known_state
    RETURNING 1
"""
#: How many tasks of some sessions have not ended. (arrays: agents, session ids)
COUNT_ACTIVE_TASKS = """
    SELECT keys.agent, keys.session_id, active.number
      FROM unnest($1::text[], $2::text[]) AS keys (agent, session_id), LATERAL (
           SELECT count(*) AS number FROM tasks
            WHERE session_key = hashtextextended(keys.session_id, 0) AND session_id = keys.session_id
              AND agent || '' = keys.agent AND state + 0 IN (1, 2, 6, 8)) AS active
     WHERE active.number > 0
"""
#: Sessions that ended long ago and of which no task is kept. (ended before, limit)
DELETE_ENDED_SESSIONS = """
    DELETE FROM sessions WHERE digest = ANY(ARRAY(
        SELECT digest FROM sessions
         WHERE ended_at <= $1::bigint AND NOT EXISTS (
               SELECT FROM tasks
                WHERE session_key = hashtextextended(sessions.session_id, 0)
                  AND tasks.session_id = sessions.session_id COLLATE "default"
                  AND tasks.agent || '' = sessions.agent COLLATE "default")
         ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED))
    RETURNING 1
"""
