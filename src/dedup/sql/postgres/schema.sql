-- The marks of tower-webhook, one row an event. Running it again changes nothing.
CREATE TABLE IF NOT EXISTS tower_webhook_events (
    -- SHA-256 over scope, type and id: what identifies the event.
    key          bytea       PRIMARY KEY CHECK (octet_length(key) = 32),
    -- 'in_flight' until ends_at; 'done' until ends_at; 'pending': free for the next delivery,
    -- and kept until ends_at for operators to read.
    -- Not checked here: a version that adds a state must be able to run beside one that does not know it.
    state        text        NOT NULL,
    -- Grows with every claim, so that a holder that lost its lease is told from its successor.
    fence        bigint      NOT NULL,
    -- The end of the lease, or of the retention.
    ends_at      timestamptz NOT NULL,
    -- For operators. Escaped and cut to 200 characters; empty where a completion found no row.
    scope        text        NOT NULL,
    event_type   text        NOT NULL,
    event_id     text        NOT NULL,
    first_seen   timestamptz NOT NULL,
    attempts     integer     NOT NULL,
    completed_at timestamptz,
    -- Of the last attempt that failed in an inbox.
    last_error   text
);
CREATE INDEX IF NOT EXISTS tower_webhook_events_ends_at ON tower_webhook_events (ends_at);
-- Where the fences of new rows come from, so that they outlive the rows that a purge removes.
CREATE SEQUENCE IF NOT EXISTS tower_webhook_events_fence;
