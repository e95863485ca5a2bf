//! Signed timestamps: canonical digits only, judged against a window that is closed on both sides.

use std::time::{Duration, SystemTime};

use crate::clock::unix_seconds;
use crate::error::RejectionReason;

/// Eighteen digits hold every second until the year 31 billion and cannot overflow.
const MAX_DIGITS: usize = 18;

/// Reads Unix seconds. The sender signed this very text, so that only the one way to write a number is
/// accepted: no sign, no leading zero, nothing but ASCII digits.
#[inline]
pub(crate) fn parse_unix_seconds(text: &[u8]) -> Option<u64> {
    match text {
        [] => None,
        [b'0', _, ..] => None,
        _ if text.len() > MAX_DIGITS => None,
        _ => text.iter().try_fold(0_u64, |value, byte| {
            byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0'))
        }),
    }
}

/// Whether `signed` lies within `tolerance` of `now`. Exactly at the edge is within.
pub(crate) fn check_window(signed: u64, now: SystemTime, tolerance: Duration) -> Result<(), RejectionReason> {
    let (now, tolerance) = (unix_seconds(now), tolerance.as_secs());
    if now.saturating_sub(signed) > tolerance {
        Err(RejectionReason::TimestampTooOld)
    } else if signed.saturating_sub(now) > tolerance {
        Err(RejectionReason::TimestampInFuture)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_canonical_digits_only() {
        let good: [(&[u8], u64); 4] = [
            (b"0", 0),
            (b"7", 7),
            (b"1800000000", 1_800_000_000),
            (b"999999999999999999", 999_999_999_999_999_999),
        ];
        for (text, value) in good {
            assert_eq!(parse_unix_seconds(text), Some(value));
        }
        let bad: [&[u8]; 12] = [
            b"",
            b"+5",
            b"-5",
            b"05",
            b"00",
            b"1.5",
            b"0x10",
            b"1e9",
            b" 5",
            b"5 ",
            b"1000000000000000000",
            "\u{661}\u{662}".as_bytes(),
        ];
        for text in bad {
            assert_eq!(parse_unix_seconds(text), None, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn the_window_is_closed_on_both_sides() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000);
        let check = |signed| check_window(signed, now, Duration::from_secs(300));
        assert_eq!(check(9_700), Ok(()));
        assert_eq!(check(10_300), Ok(()));
        assert_eq!(check(9_699), Err(RejectionReason::TimestampTooOld));
        assert_eq!(check(10_301), Err(RejectionReason::TimestampInFuture));
        assert_eq!(check(0), Err(RejectionReason::TimestampTooOld));
        assert_eq!(check(u64::MAX), Err(RejectionReason::TimestampInFuture));
    }

    #[test]
    fn a_clock_before_1970_refuses_without_panic() {
        let now = SystemTime::UNIX_EPOCH - Duration::from_secs(10);
        assert_eq!(
            check_window(1_000, now, Duration::from_secs(300)),
            Err(RejectionReason::TimestampInFuture)
        );
    }
}
