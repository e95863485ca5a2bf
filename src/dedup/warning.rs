//! What a store's start-up check found.

use std::fmt;

/// A setting of a store's server under which deduplication promises less than it should. From the `check` of a store, which also logs it.
///
/// ```
/// use tower_webhook::dedup::StoreWarning;
///
/// let warning = StoreWarning::CommitsNotDurable;
/// assert!(warning.to_string().contains("a crash of the server"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreWarning {
    /// A commit is acknowledged before it is on the disk: PostgreSQL without `fsync` or with `synchronous_commit` off,
    /// SQLite with `synchronous` below `FULL`.
    CommitsNotDurable,
    /// SQLite without WAL, or without a busy timeout: writers get errors from each other.
    WritersCollide,
    /// Redis drops marks when its memory is full, and their events run again.
    Evicts {
        /// The server's `maxmemory-policy`.
        policy: String,
    },
    /// Redis does not say whether it drops marks when its memory is full.
    EvictionUnknown,
    /// Redis without an append-only file: after a restart, whatever is redelivered runs again.
    NotPersistent,
    /// Redis has less than a tenth of its memory left. When it is full, it refuses new claims.
    NearlyFull {
        /// Bytes in use.
        used: u64,
        /// Bytes it may use.
        limit: u64,
    },
    /// Redis is a replica, which takes no writes: every claim fails.
    ReadOnly,
}

impl fmt::Display for StoreWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommitsNotDurable => f.write_str(
                "commits are acknowledged before they are on the disk: a crash of the server or of the machine takes \
                 the last marks, and in an inbox the last effects, although their senders were told 200",
            ),
            Self::WritersCollide => f.write_str(
                "SQLite has no WAL or no busy timeout: concurrent deliveries get errors from each other, and 503",
            ),
            Self::Evicts { policy } => write!(
                f,
                "Redis drops marks when its memory is full, and their events run again: its maxmemory-policy is \
                 {policy}, and should be noeviction"
            ),
            Self::EvictionUnknown => f.write_str(
                "Redis does not say what it does when its memory is full: where it drops marks, their events run again",
            ),
            Self::NotPersistent => f.write_str(
                "Redis has no append-only file: when it restarts, its marks are gone, and whatever is redelivered runs \
                 again",
            ),
            Self::NearlyFull { used, limit } => {
                write!(f, "Redis uses {used} of its {limit} bytes: when it is full, new events are answered 503")
            }
            Self::ReadOnly => f.write_str("Redis is a replica, which takes no writes: every event is answered 503"),
        }
    }
}

/// Says them in the log as well, where the feature `tracing` is on.
#[cfg(any(feature = "redis", feature = "postgres", feature = "sqlite"))]
pub(super) fn logged(warnings: Vec<StoreWarning>) -> Vec<StoreWarning> {
    #[cfg(feature = "tracing")]
    for warning in &warnings {
        tracing::warn!(target: "tower_webhook", "{warning}");
    }
    warnings
}
