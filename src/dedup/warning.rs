//! What a store found out about its server at start-up.

use std::fmt;

/// A server that works, but may lose marks or refuse them. From a store's check at start-up.
///
/// ```
/// use tower_webhook::dedup::StoreWarning;
///
/// let warning = StoreWarning::Evicts { policy: "allkeys-lru".to_owned() };
/// assert!(warning.to_string().contains("`allkeys-lru`"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreWarning {
    /// The server drops marks when its memory is full: their events run again.
    Evicts {
        /// The server's name for what it drops.
        policy: String,
    },
    /// The server does not say whether it drops marks when its memory is full.
    EvictionUnknown,
    /// The server keeps marks in memory only: after a restart every event in its retention would run again.
    NotPersistent,
    /// The server has little room left for new claims, which it will refuse.
    NearlyFull {
        /// Bytes in use.
        used: u64,
        /// Bytes it may use.
        limit: u64,
    },
    /// The server takes no writes, so that every claim fails: a replica, most likely.
    ReadOnly,
}

impl fmt::Display for StoreWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evicts { policy } => write!(
                f,
                "the deduplication store's server drops marks when its memory is full (`{policy}`), and their events \
                 run again: set `noeviction`"
            ),
            Self::EvictionUnknown => f.write_str(
                "the deduplication store's server does not say whether it drops marks when its memory is full: \
                 it must not",
            ),
            Self::NotPersistent => f.write_str(
                "the deduplication store's server keeps marks in memory only: when it restarts, events that were done \
                 run again; turn its append-only file on",
            ),
            Self::NearlyFull { used, limit } => write!(
                f,
                "the deduplication store's server uses {used} of its {limit} bytes: when it is full, events are \
                 refused with 503"
            ),
            Self::ReadOnly => f.write_str(
                "the deduplication store's server takes no writes: every event will be refused with 503",
            ),
        }
    }
}
