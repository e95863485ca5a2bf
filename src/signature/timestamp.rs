//! Signed timestamps: one way to write each, judged against a window that is closed on both sides.

use std::time::{Duration, SystemTime};

use crate::error::RejectionReason;

/// Eighteen digits hold every second until the year 31 billion and cannot overflow.
const MAX_DIGITS: usize = 18;

/// How a provider writes the time at which it signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimestampUnit {
    /// Seconds since 1970, in decimal digits.
    Seconds,
    /// Milliseconds since 1970, in decimal digits.
    Millis,
    /// Date and time of day with an offset, as RFC 3339 writes it: `2023-11-14T22:13:20.5Z`.
    Rfc3339,
}

#[cfg(feature = "testing")]
impl TimestampUnit {
    /// Writes a time in Unix seconds.
    pub(crate) fn write(self, seconds: u64) -> String {
        match self {
            Self::Seconds => seconds.to_string(),
            Self::Millis => format!("{seconds}000"),
            Self::Rfc3339 => {
                let (mut days, of_day) = (seconds / 86_400, seconds % 86_400);
                let (mut year, mut month) = (1970, 1);
                while days >= 365 + u64::from(is_leap(year)) {
                    days -= 365 + u64::from(is_leap(year));
                    year += 1;
                }
                while days >= days_of(year, month) {
                    days -= days_of(year, month);
                    month += 1;
                }
                let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
                format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", days + 1)
            }
        }
    }
}

/// Longer than any date with nanoseconds and an offset.
const MAX_TEXT_BYTES: usize = 39;

/// A timestamp as time and as text: the text is what was signed. It has no pointers, so that it is cheap to move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignedTimestamp {
    /// Milliseconds since 1970; what is beyond their range is at its end.
    millis: u64,
    whole_seconds: bool,
    length: u8,
    text: [u8; MAX_TEXT_BYTES],
}

impl SignedTimestamp {
    /// Reads the text of a timestamp. The sender signed this very text, so that only one way to write a number is
    /// accepted: no sign, no leading zero, nothing but ASCII digits.
    #[inline]
    pub(crate) fn parse(unit: TimestampUnit, source: &[u8]) -> Result<Self, RejectionReason> {
        let millis = match unit {
            TimestampUnit::Seconds => parse_digits(source).map(|seconds| seconds.saturating_mul(1_000)),
            TimestampUnit::Millis => parse_digits(source),
            TimestampUnit::Rfc3339 => parse_rfc3339(source),
        };
        let mut text = [0; MAX_TEXT_BYTES];
        match (millis, text.get_mut(..source.len()), u8::try_from(source.len())) {
            (Some(millis), Some(part), Ok(length)) => {
                part.copy_from_slice(source);
                Ok(Self { millis, whole_seconds: unit == TimestampUnit::Seconds, length, text })
            }
            _ => Err(RejectionReason::MalformedTimestamp),
        }
    }

    /// The text as it was sent.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }

    /// In Unix seconds.
    pub(crate) fn seconds(&self) -> u64 {
        self.millis / 1_000
    }

    /// In Unix milliseconds.
    #[cfg(feature = "testing")]
    pub(crate) fn millis(&self) -> u64 {
        self.millis
    }

    /// Whether it lies within `tolerance` of `now`. Exactly at the edge is within. A timestamp in whole seconds is
    /// compared with the second that `now` lies in.
    #[inline]
    pub(crate) fn check(&self, now: SystemTime, tolerance: Duration) -> Result<(), RejectionReason> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = if self.whole_seconds { now.as_secs().saturating_mul(1_000) } else { millis(now) };
        let tolerance = millis(tolerance);
        if now.saturating_sub(self.millis) > tolerance {
            Err(RejectionReason::TimestampTooOld)
        } else if self.millis.saturating_sub(now) > tolerance {
            Err(RejectionReason::TimestampInFuture)
        } else {
            Ok(())
        }
    }
}

/// Like `as_millis`, without its 128 bits.
#[inline]
fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000).saturating_add(u64::from(duration.subsec_millis()))
}

#[inline]
fn parse_digits(text: &[u8]) -> Option<u64> {
    match text {
        [] | [b'0', _, ..] => None,
        _ if text.len() > MAX_DIGITS => None,
        _ => digits(text),
    }
}

#[inline]
fn digits(text: &[u8]) -> Option<u64> {
    text.iter()
        .try_fold(0_u64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0')))
}

/// `2023-11-14T22:13:20.634234626Z`: fixed columns, then a fraction of any length, then the offset. What is finer
/// than a millisecond is cut off, and a time before 1970 is none.
#[inline(never)]
fn parse_rfc3339(text: &[u8]) -> Option<u64> {
    let (date_time, rest) = text.split_at_checked(19)?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T' | b't', h0, h1, b':', n0, n1, b':', s0, s1] =
        *<&[u8; 19]>::try_from(date_time).ok()?
    else {
        return None;
    };
    let (fraction, offset) = match rest {
        [b'.', rest @ ..] => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (rest.get(..digits).filter(|fraction| !fraction.is_empty())?, &rest[digits..])
        }
        _ => (&[][..], rest),
    };
    let (year, month, day) = (digits(&[y0, y1, y2, y3])?, digits(&[m0, m1])?, digits(&[d0, d1])?);
    let (hour, minute, second) = (digits(&[h0, h1])?, digits(&[n0, n1])?, digits(&[s0, s1])?);
    if !(1..=12).contains(&month)
        || day == 0
        || day > days_of(year, month)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let of_day = (hour * 60 + minute) * 60 + second;
    let seconds = i64::try_from(days_since_1970(year, month, day)? * 86_400 + of_day).ok()?;
    let utc = u64::try_from(seconds - offset_seconds(offset)?).ok()?;
    // Three digits, the missing ones being zeros.
    let millis = (0..3)
        .fold(0, |value, place| value * 10 + fraction.get(place).map_or(0, |digit| u64::from(digit - b'0')));
    Some(utc * 1_000 + millis)
}

/// `Z`, or hours and minutes east of Greenwich.
fn offset_seconds(offset: &[u8]) -> Option<i64> {
    match *offset {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (digits(&[h0, h1])?, digits(&[m0, m1])?);
            let seconds = i64::try_from(hours * 3_600 + minutes * 60).ok()?;
            (hours <= 23 && minutes <= 59).then_some(if sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let before = year.checked_sub(1)?;
    // Days of all years before this one, less those before 1970.
    let years = before * 365 + before / 4 - before / 100 + before / 400;
    let months: u64 = (1..month).map(|month| days_of(year, month)).sum();
    (years + months + day - 1).checked_sub(719_162)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(unit: TimestampUnit, text: &str) -> Option<u64> {
        let parsed = SignedTimestamp::parse(unit, text.as_bytes());
        match parsed {
            Ok(timestamp) => {
                assert_eq!(timestamp.text(), text.as_bytes());
                Some(timestamp.millis)
            }
            Err(reason) => {
                assert_eq!(reason, RejectionReason::MalformedTimestamp);
                None
            }
        }
    }

    #[test]
    fn reads_canonical_digits_only() {
        for (text, value) in [
            ("0", 0),
            ("7", 7),
            ("1800000000", 1_800_000_000),
            ("999999999999999999", 999_999_999_999_999_999),
        ] {
            assert_eq!(parse(TimestampUnit::Seconds, text), Some(u64::saturating_mul(value, 1_000)));
            assert_eq!(parse(TimestampUnit::Millis, text), Some(value));
        }
        for text in [
            "",
            "+5",
            "-5",
            "05",
            "00",
            "1.5",
            "0x10",
            "1e9",
            " 5",
            "5 ",
            "1000000000000000000",
            "\u{661}\u{662}",
        ] {
            assert_eq!(parse(TimestampUnit::Seconds, text), None, "{text}");
            assert_eq!(parse(TimestampUnit::Millis, text), None, "{text}");
        }
    }

    #[test]
    fn reads_dates_with_an_offset_only() {
        // By Python's datetime.
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T01:00:00+01:00", 0),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000),
            ("2023-11-14t22:13:20z", 1_700_000_000_000),
            ("2023-11-14T22:13:20.5Z", 1_700_000_000_500),
            ("2023-11-14T22:13:20.634234626Z", 1_700_000_000_634),
            ("2023-11-14T22:13:20.000999Z", 1_700_000_000_000),
            ("2023-11-15T03:43:20+05:30", 1_700_000_000_000),
            ("2023-11-14T14:13:20.25-08:00", 1_700_000_000_250),
            ("2024-02-29T12:00:00Z", 1_709_208_000_000),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2100-03-01T00:00:00Z", 4_107_542_400_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] {
            assert_eq!(parse(TimestampUnit::Rfc3339, text), Some(millis), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "1700000000",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "2023-11-14 22:13:20Z",
            "2023-11-14T22:13Z",
            "2023-11-14T22:13:20.Z",
            "2023-11-14T22:13:20,5Z",
            "2023-11-14T22:13:20Z ",
            "2023-11-14T22:13:20ZZ",
            "2023-11-14T22:13:20+0100",
            "2023-11-14T22:13:20+24:00",
            "2023-11-14T22:13:20+01:60",
            "2023-13-14T22:13:20Z",
            "2023-00-14T22:13:20Z",
            "2023-02-29T22:13:20Z",
            "2100-02-29T22:13:20Z",
            "2023-11-31T22:13:20Z",
            "2023-11-00T22:13:20Z",
            "2023-11-14T24:13:20Z",
            "2023-11-14T22:60:20Z",
            "2023-11-14T22:13:60Z",
            "+023-11-14T22:13:20Z",
            "2023-11-14T22:13:20.1234567890123456789Z",
            "0000-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
            "2023-11-14T22:13:2\u{662}Z",
        ] {
            assert_eq!(parse(TimestampUnit::Rfc3339, text), None, "{text}");
        }
    }

    fn check(unit: TimestampUnit, text: &str, now: Duration, tolerance: u64) -> Result<(), RejectionReason> {
        let timestamp = SignedTimestamp::parse(unit, text.as_bytes())?;
        timestamp.check(SystemTime::UNIX_EPOCH + now, Duration::from_secs(tolerance))
    }

    #[test]
    fn the_window_is_closed_on_both_sides() {
        let check =
            |signed, millis| check(TimestampUnit::Seconds, signed, Duration::from_millis(millis), 300);
        assert_eq!(check("9700", 10_000_000), Ok(()));
        assert_eq!(check("9700", 10_000_999), Ok(()), "the same second");
        assert_eq!(check("10300", 10_000_000), Ok(()));
        assert_eq!(check("9699", 10_000_000), Err(RejectionReason::TimestampTooOld));
        assert_eq!(check("10301", 10_000_000), Err(RejectionReason::TimestampInFuture));
        assert_eq!(check("10301", 10_000_999), Err(RejectionReason::TimestampInFuture));
        assert_eq!(check("0", 10_000_000), Err(RejectionReason::TimestampTooOld));
        assert_eq!(check("999999999999999999", 10_000_000), Err(RejectionReason::TimestampInFuture));
    }

    #[test]
    fn milliseconds_count_where_they_are_signed() {
        let check = |signed, millis| check(TimestampUnit::Millis, signed, Duration::from_millis(millis), 1);
        assert_eq!(check("10000500", 10_001_500), Ok(()));
        assert_eq!(check("10000500", 10_001_501), Err(RejectionReason::TimestampTooOld));
        assert_eq!(check("10000500", 9_999_500), Ok(()));
        assert_eq!(check("10000500", 9_999_499), Err(RejectionReason::TimestampInFuture));
    }

    #[test]
    fn a_clock_before_1970_refuses_without_panic() {
        let timestamp = SignedTimestamp::parse(TimestampUnit::Seconds, b"1000").unwrap();
        let now = SystemTime::UNIX_EPOCH - Duration::from_secs(10);
        assert_eq!(timestamp.check(now, Duration::from_secs(300)), Err(RejectionReason::TimestampInFuture));
        assert_eq!(timestamp.check(now, Duration::MAX), Ok(()));
        assert_eq!(timestamp.seconds(), 1_000);
    }
}
