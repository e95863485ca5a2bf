-- Most events are new. One that is not is neither locked nor written here: a storm of duplicates costs no commit, but
-- for the sequence's own record of every 32nd number.
INSERT INTO tower_webhook_events
    (key, state, fence, ends_at, scope, event_type, event_id, first_seen, attempts)
VALUES (
    $1, 'in_flight', nextval('tower_webhook_events_fence'),
    clock_timestamp() + $2::bigint * interval '1 microsecond',
    $3, $4, $5, clock_timestamp(), 1
)
ON CONFLICT (key) DO NOTHING
RETURNING fence
