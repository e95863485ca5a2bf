//! What the store locks and counts with: std's, or under `cfg(shuttle)` such as let a model choose who goes first.
//! See `scripts/model.sh`.

#[cfg(shuttle)]
pub(super) use shuttle::sync::{Mutex, MutexGuard, atomic::AtomicU64};
#[cfg(not(shuttle))]
pub(super) use std::sync::{Mutex, MutexGuard, atomic::AtomicU64};
