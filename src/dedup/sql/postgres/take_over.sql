-- Of those that found the row free one gets it: the others wait for its lock, and then see it taken.
UPDATE tower_webhook_events SET
    state = 'in_flight',
    fence = greatest(fence + 1, nextval('tower_webhook_events_fence')),
    ends_at = clock_timestamp() + $2::bigint * interval '1 microsecond',
    scope = $3,
    event_type = $4,
    event_id = $5,
    first_seen = CASE state WHEN 'done' THEN clock_timestamp() ELSE first_seen END,
    attempts = CASE state WHEN 'done' THEN 1 ELSE attempts + 1 END,
    completed_at = NULL
WHERE key = $1
    AND (state = 'pending' OR (state IN ('in_flight', 'done') AND ends_at <= clock_timestamp()))
RETURNING fence
