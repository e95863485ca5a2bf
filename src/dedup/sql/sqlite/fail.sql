UPDATE tower_webhook_events SET
    state = 'pending',
    ends_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) + 604800000,
    last_error = ?3
WHERE key = ?1 AND fence = ?2 AND state = 'in_flight'
