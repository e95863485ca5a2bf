//! Ids for deliveries that nothing tells apart.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What no other delivery has had, in this process or another.
pub(super) fn unique_id() -> String {
    // Two keys that the operating system chose for this process, and a count within it.
    static KEYS: LazyLock<[RandomState; 2]> = LazyLock::new(|| [RandomState::new(), RandomState::new()]);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let [high, low] = &*KEYS;
    format!("delivery:{:016x}{:016x}-{count}", high.hash_one(std::process::id()), low.hash_one("delivery"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_the_same() {
        let ids: std::collections::HashSet<_> = (0..1_000).map(|_| unique_id()).collect();
        assert_eq!(ids.len(), 1_000);
    }
}
