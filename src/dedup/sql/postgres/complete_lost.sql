-- The lease is lost, but the work is done: so is the event, whoever holds it.
INSERT INTO tower_webhook_events AS e
    (key, state, fence, ends_at, scope, event_type, event_id, first_seen, attempts, completed_at)
VALUES (
    $1, 'done', greatest($2 + 1, nextval('tower_webhook_events_fence')),
    clock_timestamp() + $3::bigint * interval '1 microsecond',
    '', '', '', clock_timestamp(), 1, clock_timestamp()
)
ON CONFLICT (key) DO UPDATE SET
    state = 'done',
    ends_at = clock_timestamp() + $3::bigint * interval '1 microsecond',
    completed_at = clock_timestamp(),
    last_error = NULL
WHERE e.state IN ('in_flight', 'done', 'pending')
RETURNING 1
