INSERT INTO tower_webhook_events AS e
    (key, state, fence, ends_at, scope, event_type, event_id, first_seen, attempts)
SELECT
    -- New rows begin at the time in microseconds, so that fences outlive the rows that a purge removes.
    ?1, 'in_flight', now * 1000, now + ?2, ?3, ?4, ?5, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 1
FROM (SELECT CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) AS now)
WHERE true
ON CONFLICT (key) DO UPDATE SET
    state = 'in_flight',
    fence = max(e.fence + 1, excluded.fence),
    ends_at = excluded.ends_at,
    scope = excluded.scope,
    event_type = excluded.event_type,
    event_id = excluded.event_id,
    first_seen = CASE e.state WHEN 'done' THEN excluded.first_seen ELSE e.first_seen END,
    attempts = CASE e.state WHEN 'done' THEN 1 ELSE e.attempts + 1 END,
    completed_at = NULL
WHERE e.state = 'pending' OR (e.state IN ('in_flight', 'done') AND e.ends_at <= excluded.ends_at - ?2)
RETURNING fence
