SELECT state, ends_at - CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)
FROM tower_webhook_events
WHERE key = ?1
