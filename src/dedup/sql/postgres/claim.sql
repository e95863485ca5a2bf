INSERT INTO tower_webhook_events AS e
    (key, state, fence, ends_at, scope, event_type, event_id, first_seen, attempts)
VALUES (
    $1, 'in_flight', nextval('tower_webhook_events_fence'),
    clock_timestamp() + $2::bigint * interval '1 microsecond',
    $3, $4, $5, clock_timestamp(), 1
)
ON CONFLICT (key) DO UPDATE SET
    state = 'in_flight',
    fence = greatest(e.fence + 1, excluded.fence),
    -- Not excluded.ends_at: that was computed before the row's lock was waited for.
    ends_at = clock_timestamp() + $2::bigint * interval '1 microsecond',
    scope = excluded.scope,
    event_type = excluded.event_type,
    event_id = excluded.event_id,
    first_seen = CASE e.state WHEN 'done' THEN clock_timestamp() ELSE e.first_seen END,
    attempts = CASE e.state WHEN 'done' THEN 1 ELSE e.attempts + 1 END,
    completed_at = NULL
WHERE e.state = 'pending' OR (e.state IN ('in_flight', 'done') AND e.ends_at <= clock_timestamp())
RETURNING fence
