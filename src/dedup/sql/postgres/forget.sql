UPDATE tower_webhook_events SET
    state = 'pending',
    fence = fence + 1,
    ends_at = clock_timestamp() + interval '7 days',
    completed_at = NULL
WHERE key = $1 AND state = 'done'
