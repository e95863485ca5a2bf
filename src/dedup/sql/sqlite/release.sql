-- The fence grows, so that a late completion by this holder is told that it lost the lease.
UPDATE tower_webhook_events SET
    state = 'pending',
    fence = fence + 1,
    ends_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) + 604800000
WHERE key = ?1 AND fence = ?2 AND state = 'in_flight'
