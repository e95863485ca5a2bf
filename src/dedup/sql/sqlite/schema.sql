-- The marks of tower-webhook, one row an event. Running it again changes nothing.
CREATE TABLE IF NOT EXISTS tower_webhook_events (
    -- SHA-256 over scope, type and id: what identifies the event.
    key          BLOB    PRIMARY KEY NOT NULL CHECK (length(key) = 32),
    -- 'in_flight' until ends_at; 'done' until ends_at; 'pending': free for the next delivery,
    -- and kept until ends_at for operators to read.
    -- Not checked here: a version that adds a state must be able to run beside one that does not know it.
    state        TEXT    NOT NULL,
    -- Grows with every claim, so that a holder that lost its lease is told from its successor.
    fence        INTEGER NOT NULL,
    -- The end of the lease, or of the retention, in milliseconds since 1970.
    ends_at      INTEGER NOT NULL,
    -- For operators. Escaped and cut to 200 characters; empty where a completion found no row. Times are UTC.
    scope        TEXT    NOT NULL,
    event_type   TEXT    NOT NULL,
    event_id     TEXT    NOT NULL,
    first_seen   TEXT    NOT NULL,
    attempts     INTEGER NOT NULL,
    completed_at TEXT,
    -- Of the last attempt that failed in an inbox.
    last_error   TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tower_webhook_events_ends_at ON tower_webhook_events (ends_at);
