#!/usr/bin/env bash
# The hostile sender, in its long form: three receiver processes that are killed with SIGKILL at every step, servers that
# are killed, stopped and paused, and 100,000 deliveries for each store. Prints the figures, and fails if an event is lost
# or doubled without a reason.
#
#     scripts/hostile.sh [redis] [postgres] [postgres-inbox] [sqlite] [sqlite-inbox] [lru]
#
# Without arguments: redis, postgres and postgres-inbox, in about ten minutes. TOWER_WEBHOOK_HOSTILE_SEED=<number> takes
# the chances of an earlier run again. `redis-server` and PostgreSQL must be installed: scripts/test.sh sees to it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# -gt 0 ]; then export TOWER_WEBHOOK_HOSTILE_STORES="$*"; fi
exec cargo test --locked --release --all-features --test it \
    hostile::chaos::f51_the_long_form -- --exact --ignored --nocapture
