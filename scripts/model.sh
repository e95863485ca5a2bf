#!/usr/bin/env bash
# Tries the interleavings of threads over the real LRU store, with locks that let a model choose who goes first.
# A build of its own, with few dependencies: `--cfg shuttle` would throw the main one away.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../tests/model"

# Shuttle orders every atomic as SeqCst, and warns of the others: the store's only one is a counter that orders nothing.
export SHUTTLE_SILENCE_WARNINGS=1
RUSTFLAGS="${RUSTFLAGS:-} --cfg shuttle" cargo test --locked --target-dir target "$@"
