UPDATE tower_webhook_events SET
    state = 'done',
    ends_at = clock_timestamp() + $3::bigint * interval '1 microsecond',
    completed_at = clock_timestamp(),
    last_error = NULL
WHERE key = $1 AND fence = $2 AND state IN ('in_flight', 'done')
