//! When a secret was used last, so that a rotation can be finished.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::clock::unix_seconds;

/// When a secret verified something, as one process knows it. From [`Verifier::secret_usage`](crate::Verifier::secret_usage);
/// where several processes receive, the latest of what they know is what counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretUsage {
    watched_since: SystemTime,
    last_used: Option<SystemTime>,
}

impl SecretUsage {
    /// A secret that has been watched since then, and verified something last at `last_used`, if ever.
    #[must_use]
    pub fn new(watched_since: SystemTime, last_used: Option<SystemTime>) -> Self {
        Self { watched_since, last_used }
    }

    /// From when on it would have been noticed: what was verified before a restart is not known.
    #[must_use]
    pub fn watched_since(&self) -> SystemTime {
        self.watched_since
    }

    /// When it verified something last, to the second: by the signature alone, be it stale or a duplicate. `None` where
    /// it has not since it is [watched](Self::watched_since).
    #[must_use]
    pub fn last_used(&self) -> Option<SystemTime> {
        self.last_used
    }
}

/// The same, as it is kept.
#[derive(Debug)]
pub(super) struct Used {
    since: SystemTime,
    /// In Unix seconds. Zero for never.
    last: AtomicU64,
}

impl Used {
    pub(super) fn from_now() -> Self {
        Self { since: SystemTime::now(), last: AtomicU64::new(0) }
    }

    #[inline]
    pub(super) fn note(&self, now: SystemTime) {
        let now = unix_seconds(now);
        // Once a second, so that cores do not fight over it.
        if self.last.load(Ordering::Relaxed) < now {
            self.last.fetch_max(now, Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self) -> SecretUsage {
        let last = self.last.load(Ordering::Relaxed);
        let last_used = (last > 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(last));
        SecretUsage { watched_since: self.since, last_used }
    }
}
