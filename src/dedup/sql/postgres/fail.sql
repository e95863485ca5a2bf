UPDATE tower_webhook_events SET
    state = 'pending',
    ends_at = clock_timestamp() + interval '7 days',
    last_error = $3
WHERE key = $1 AND fence = $2 AND state = 'in_flight'
