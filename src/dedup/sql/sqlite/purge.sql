DELETE FROM tower_webhook_events
WHERE key IN (
    SELECT key FROM tower_webhook_events
    WHERE ends_at < CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) - 3600000
        AND state IN ('in_flight', 'done', 'pending')
    ORDER BY ends_at
    LIMIT ?1
)
