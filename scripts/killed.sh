#!/usr/bin/env bash
# Kills a receiver with SIGKILL at random instants while it subscribes itself and rotates its secret, under traffic of the
# simulated CasaPay and Diddo. Prints what each kill left behind, and fails if an event is lost or doubled, a delivery is
# answered 401, or anything but one endpoint and its secret is there in the end.
#
#     scripts/killed.sh [rounds]
#
# 100 rounds for each platform, unless it is told otherwise. TOWER_WEBHOOK_KILLED_SEED=<number> takes the chances of an
# earlier run again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export TOWER_WEBHOOK_KILLED_ROUNDS="${1:-100}"
exec cargo test --locked --all-features --test it killed::chances::the_long_form -- --exact --ignored --nocapture
