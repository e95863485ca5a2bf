UPDATE tower_webhook_events SET
    state = 'pending',
    fence = fence + 1,
    ends_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) + 604800000,
    completed_at = NULL
WHERE key = ?1 AND state = 'done'
