UPDATE tower_webhook_events SET
    state = 'done',
    ends_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) + ?3,
    completed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
    last_error = NULL
WHERE key = ?1 AND fence = ?2 AND state IN ('in_flight', 'done')
