-- compatible-from: 1
-- Sessions, as the session host knows them. Times are microseconds since the Unix epoch, UTC.
-- The states are those of outlast.core.session: 1 STARTING, 2 RUNNING, 3 STOPPING, 4 STOPPED.
-- Text is ordered as its bytes are (COLLATE "C"), so that every store lists in one order.

CREATE TABLE sessions (
    -- Of agent and session id, which together are too long for an index.
    digest      bytea PRIMARY KEY,
    agent       text COLLATE "C" NOT NULL,
    session_id  text COLLATE "C" NOT NULL,
    principal   text NOT NULL,
    -- The user that it is bound to; empty for none.
    user_id     text COLLATE "C" NOT NULL,
    created_at  bigint NOT NULL,
    state       smallint NOT NULL CHECK (state BETWEEN 1 AND 4),
    -- The host that owns it, and the epoch of its newest run.
    host        text COLLATE "C" NOT NULL,
    epoch       bigint NOT NULL,
    run         bigint NOT NULL CHECK (run >= 1),
    started_at  bigint NOT NULL,
    ready_at    bigint,
    ended_at    bigint CHECK ((ended_at IS NOT NULL) = (state = 4)),
    -- Until when the owner's right holds; NULL until it ends the run.
    lease_until bigint,
    end_reason  text,
    end_message text NOT NULL
);

-- Lists go newest first, and from one page to the next by (created_at, agent, session_id): an index holds of that what
-- is short, and the few that were made in the same microsecond are sorted.
CREATE INDEX sessions_by_creation ON sessions (created_at);
CREATE INDEX sessions_by_agent ON sessions (agent, created_at);
CREATE INDEX sessions_by_user ON sessions (hashtextextended(user_id, 0), created_at) WHERE user_id <> '';
-- Those that have not ended: few.
CREATE INDEX sessions_living ON sessions (host) WHERE state <> 4;
-- Those that have, the longest ago first.
CREATE INDEX sessions_by_end ON sessions (ended_at) WHERE ended_at IS NOT NULL;
