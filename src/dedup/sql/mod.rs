//! What the SQL stores share: the states of a row, and what operators read beside it.

#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use super::{Claim, DedupKey, Lease, StoreError};

/// How often a claim is tried where it found a row that was gone, or free again, a moment later.
pub(crate) const CLAIM_ROUNDS: usize = 3;

/// What a claim is told that lost each of these rounds to others.
pub(crate) const CONTENDED: Claim = Claim::InFlight { retry_after: Duration::from_secs(1) };

/// Longer than anybody retains a mark, and well within what databases can add to a date.
const MAX_TIME: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Characters of an id or type that are kept for operators to read.
const READABLE: usize = 200;

/// A row that was not ours to claim: what it means, or `None` where it became free since.
pub(crate) fn found(state: &str, left: Duration) -> Result<Option<Claim>, StoreError> {
    match state {
        "in_flight" | "done" | "pending" if left.is_zero() => Ok(None),
        "in_flight" => Ok(Some(Claim::InFlight { retry_after: left })),
        "done" => Ok(Some(Claim::Done)),
        "pending" => Ok(None),
        _ => Err(unknown_state()),
    }
}

/// A row that a newer version wrote, or somebody's hand: it may mean that the event is done.
pub(crate) fn unknown_state() -> StoreError {
    StoreError::corrupt("a row has a state that this version does not know")
}

pub(crate) fn acquired(key: &DedupKey, fence: i64) -> Result<Claim, StoreError> {
    let fence = u64::try_from(fence).map_err(|_| StoreError::corrupt("a row has a negative fence"))?;
    Ok(Claim::Acquired(Lease::new(*key, fence)))
}

/// A fence as the column holds it. One that does not fit was never given out.
pub(crate) fn column(fence: u64) -> i64 {
    i64::try_from(fence).unwrap_or(-1)
}

/// A duration in whole units of `unit`, rounded up: nothing ends early.
pub(crate) fn units(time: Duration, unit: Duration) -> i64 {
    i64::try_from(time.min(MAX_TIME).as_nanos().div_ceil(unit.as_nanos())).unwrap_or(i64::MAX)
}

/// The time that a row has left, in units of `unit`.
pub(crate) fn left(units: i64, unit: Duration) -> Duration {
    let units = u64::try_from(units).unwrap_or(0);
    Duration::from_nanos(units.saturating_mul(u64::try_from(unit.as_nanos()).unwrap_or(u64::MAX)))
}

/// A sender's text as any column can hold it, whatever the database's encoding, and a terminal show it: what is not
/// visible ASCII is escaped, and no more than 200 characters are kept. It identifies nothing; the key does.
pub(crate) fn readable(text: &str) -> Cow<'_, str> {
    let plain = |c: char| (c.is_ascii_graphic() || c == ' ') && c != '\\';
    if text.chars().take(READABLE + 1).all(plain) && text.chars().nth(READABLE).is_none() {
        return Cow::Borrowed(text);
    }
    let mut readable = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == READABLE {
            readable.push_str("...");
            break;
        }
        if plain(c) {
            readable.push(c);
        } else {
            // Cannot fail: it writes to memory.
            let _ = write!(readable, "{}", c.escape_default());
        }
    }
    Cow::Owned(readable)
}

/// An error of the database, by what it says about the store.
pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::PoolTimedOut => StoreError::timeout(),
        error @ (sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_)) => {
            StoreError::corrupt(error)
        }
        error if is_damage(&error) => StoreError::corrupt(error),
        error => StoreError::unavailable(error),
    }
}

/// Whether the database did answer, and what it holds makes no sense: a value that nothing can be reckoned with
/// (PostgreSQL's class 22), a file that is damaged or none (SQLite). Nothing may run because of that.
fn is_damage(error: &sqlx::Error) -> bool {
    const SQLITE_CORRUPT: u32 = 11;
    const SQLITE_NOTADB: u32 = 26;
    let Some(code) = error.as_database_error().and_then(|error| error.code()) else { return false };
    match code.parse::<u32>() {
        // PostgreSQL's codes have five characters, SQLite's numbers fewer.
        Ok(number) if code.len() < 5 => [SQLITE_CORRUPT, SQLITE_NOTADB].contains(&(number & 0xff)),
        _ => code.starts_with("22"),
    }
}

/// The code that the database gave as its reason.
pub(crate) fn code(error: &StoreError) -> Option<Cow<'_, str>> {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<sqlx::Error>());
    source.and_then(sqlx::Error::as_database_error).and_then(|error| error.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROSECOND: Duration = Duration::from_micros(1);

    #[test]
    fn a_row_is_what_its_state_says() {
        let second = Duration::from_secs(1);
        let said = |state, left| found(state, left).unwrap();
        assert_eq!(said("in_flight", second), Some(Claim::InFlight { retry_after: second }));
        assert_eq!(said("done", second), Some(Claim::Done));
        for (state, left) in [("in_flight", Duration::ZERO), ("done", Duration::ZERO), ("pending", second)] {
            assert_eq!(said(state, left), None, "{state}");
        }
        for state in ["", "DONE", "settled"] {
            assert!(found(state, second).unwrap_err().is_corrupt(), "{state}");
            assert!(found(state, Duration::ZERO).unwrap_err().is_corrupt(), "{state}");
        }
    }

    #[test]
    fn times_are_rounded_up_and_bounded() {
        assert_eq!(units(Duration::from_nanos(1), MICROSECOND), 1);
        assert_eq!(units(Duration::from_micros(7), MICROSECOND), 7);
        assert_eq!(units(Duration::ZERO, MICROSECOND), 0);
        assert_eq!(units(Duration::MAX, MICROSECOND), 3_153_600_000_000_000);
        assert_eq!(left(7, MICROSECOND), Duration::from_micros(7));
        assert_eq!(left(-7, MICROSECOND), Duration::ZERO);
        assert_eq!(left(i64::MAX, Duration::from_secs(1)), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn a_fence_that_no_column_holds_matches_no_row() {
        assert_eq!(column(7), 7);
        assert_eq!(column(u64::MAX), -1);
        assert!(acquired(&DedupKey::new("s", "t", "i"), -1).unwrap_err().is_corrupt());
    }

    #[test]
    fn operators_read_what_columns_can_hold() {
        assert!(matches!(readable("evt_1 '; drop"), Cow::Borrowed("evt_1 '; drop")));
        assert_eq!(readable("a\0b\r\n\\"), r"a\u{0}b\r\n\\");
        assert_eq!(readable("\u{1b}[2J\u{7f}\u{85}"), r"\u{1b}[2J\u{7f}\u{85}");
        assert_eq!(readable("café 🙂"), r"caf\u{e9} \u{1f642}");
        assert_eq!(readable(&"x".repeat(200)), "x".repeat(200));
        assert_eq!(readable(&"x".repeat(10_000)), format!("{}...", "x".repeat(200)));
    }
}
