DELETE FROM tower_webhook_events
WHERE key IN (
    SELECT key FROM tower_webhook_events
    WHERE ends_at < clock_timestamp() - interval '1 hour' AND state IN ('in_flight', 'done', 'pending')
    ORDER BY ends_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
