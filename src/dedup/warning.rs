//! What a store's start-up check found.

use std::fmt;

/// A setting of a store's server under which deduplication promises less than it should. From the `check` of a store;
/// none keeps it from working.
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
}

impl fmt::Display for StoreWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CommitsNotDurable => {
                "commits are acknowledged before they are on the disk: a crash of the server or of the machine takes \
                 the last marks, and in an inbox the last effects, although their senders were told 200"
            }
            Self::WritersCollide => {
                "SQLite has no WAL or no busy timeout: concurrent deliveries get errors from each other, and 503"
            }
        })
    }
}
