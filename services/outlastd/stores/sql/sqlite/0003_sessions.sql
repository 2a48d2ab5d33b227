-- compatible-from: 1
-- Sessions, as the session host knows them. Times are microseconds since the Unix epoch, UTC.
-- The states are those of outlast.core.session: 1 STARTING, 2 RUNNING, 3 STOPPING, 4 STOPPED.

CREATE TABLE sessions (
    agent       TEXT NOT NULL,
    session_id  TEXT NOT NULL,
    principal   TEXT NOT NULL,
    -- The user that it is bound to; empty for none.
    user_id     TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    state       INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),
    -- The host that owns it, and the epoch of its newest run.
    host        TEXT NOT NULL,
    epoch       INTEGER NOT NULL,
    run         INTEGER NOT NULL CHECK (run >= 1),
    started_at  INTEGER NOT NULL,
    ready_at    INTEGER,
    ended_at    INTEGER CHECK ((ended_at IS NOT NULL) = (state = 4)),
    -- Until when the owner's right holds; NULL until it ends the run.
    lease_until INTEGER,
    end_reason  TEXT,
    end_message TEXT NOT NULL,
    PRIMARY KEY (agent, session_id)
) WITHOUT ROWID;

-- Lists go newest first, and from one page to the next by (created_at, agent, session_id).
CREATE INDEX sessions_by_creation ON sessions (created_at, agent, session_id);
CREATE INDEX sessions_by_agent ON sessions (agent, created_at, session_id);
CREATE INDEX sessions_by_user ON sessions (user_id, created_at, agent, session_id) WHERE user_id <> '';
-- Those that have not ended: few.
CREATE INDEX sessions_living ON sessions (host) WHERE state <> 4;
-- Those that have, the longest ago first.
CREATE INDEX sessions_by_end ON sessions (ended_at) WHERE ended_at IS NOT NULL;
