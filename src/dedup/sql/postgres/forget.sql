UPDATE tower_webhook_events SET
    state = 'pending',
    fence = greatest(fence + 1, nextval('tower_webhook_events_fence')),
    ends_at = clock_timestamp() + interval '7 days',
    completed_at = NULL
WHERE key = $1 AND state = 'done'
