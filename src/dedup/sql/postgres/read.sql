SELECT state, ceil(extract(epoch FROM ends_at - clock_timestamp()) * 1000000)::bigint
FROM tower_webhook_events
WHERE key = $1
