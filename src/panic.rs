//! Panics of code that is not ours.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// `None` for a panic.
pub(crate) fn caught<T>(act: impl FnOnce() -> T) -> Option<T> {
    let payload = match catch_unwind(AssertUnwindSafe(act)) {
        Ok(output) => return Some(output),
        Err(payload) => payload,
    };
    // What was panicked with is a value whose drop may panic in its turn. What that panics with is leaked.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
    None
}
