-- The lease is lost, but the work is done: so is the event, whoever holds it.
INSERT INTO tower_webhook_events AS e
    (key, state, fence, ends_at, scope, event_type, event_id, first_seen, attempts, completed_at)
SELECT
    ?1, 'done', max(?2 + 1, now * 1000), now + ?3, '', '', '', utc, 1, utc
FROM (
    SELECT
        CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) AS now,
        strftime('%Y-%m-%dT%H:%M:%fZ', 'now') AS utc
)
WHERE true
ON CONFLICT (key) DO UPDATE SET
    state = 'done',
    ends_at = excluded.ends_at,
    completed_at = excluded.completed_at,
    last_error = NULL
WHERE e.state IN ('in_flight', 'done', 'pending')
RETURNING 1
