-- The fence grows, so that a late completion by this holder is told that it lost the lease.
UPDATE tower_webhook_events SET
    state = 'pending',
    fence = greatest(fence + 1, nextval('tower_webhook_events_fence')),
    ends_at = clock_timestamp() + interval '7 days' -- for operators to read; a claim need not wait
WHERE key = $1 AND fence = $2 AND state = 'in_flight'
