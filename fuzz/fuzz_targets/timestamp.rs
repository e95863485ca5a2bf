//! Signed timestamps in every unit, from a header and from the body: what they are taken for is what `jiff` and the
//! standard library take them for.
#![no_main]

use std::time::{Duration, SystemTime};

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::civil::DateTime;
use libfuzzer_sys::{Corpus, fuzz_target};
use tower_webhook::{Provider, RejectionReason, TimestampUnit};
use tower_webhook_fuzz::{Algorithm, Written, secrets, trimmed};

const SIGNATURE: HeaderName = HeaderName::from_static("x-signature");
const TIME: HeaderName = HeaderName::from_static("x-time");

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    unit: Unit,
    text: Text<'a>,
    in_body: bool,
    /// Milliseconds of the clock since 1970, or how far it is from the timestamp.
    now: Now,
    tolerance_millis: u32,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Unit {
    Seconds,
    Millis,
    Rfc3339,
}

#[derive(Arbitrary, Debug)]
enum Now {
    At(u32, u16),
    After(u32),
    Before(u32),
}

#[derive(Arbitrary, Debug)]
enum Text<'a> {
    Bytes(&'a [u8]),
    Number {
        value: u64,
        leading_zeros: u8,
    },
    Date {
        year: u16,
        month: u8,
        day: u8,
        hour: u8,
        minute: u8,
        second: u8,
        fraction: Option<u64>,
        offset: Option<(bool, u8, u8)>,
        lower_case: bool,
    },
}

impl Text<'_> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.to_vec(),
            Self::Number { value, leading_zeros } => {
                format!("{}{value}", "0".repeat(usize::from(leading_zeros % 4))).into_bytes()
            }
            Self::Date { year, month, day, hour, minute, second, fraction, offset, lower_case } => {
                // Mostly dates that there are, and some that there are not.
                let (year, month, day) = (year % 10_000, month % 14, day % 33);
                let (hour, minute, second) = (hour % 25, minute % 61, second % 62);
                let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
                if let Some(fraction) = fraction {
                    text.push_str(&format!(".{fraction}"));
                }
                match offset {
                    None => text.push('Z'),
                    Some((west, hours, minutes)) => {
                        let sign = if *west { '-' } else { '+' };
                        text.push_str(&format!("{sign}{:02}:{:02}", hours % 26, minutes % 62));
                    }
                }
                if *lower_case { text.to_lowercase() } else { text }.into_bytes()
            }
        }
    }
}

/// Milliseconds since 1970, by a reader that is not the crate's.
fn meaning(unit: Unit, text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    if unit == Unit::Rfc3339 {
        return date(text);
    }
    let number: u64 =
        text.parse().ok().filter(|number: &u64| number.to_string() == text && text.len() <= 18)?;
    Some(if unit == Unit::Seconds { number.saturating_mul(1_000) } else { number })
}

/// The form is fixed to the column; what it means is for `jiff` to say.
fn date(text: &str) -> Option<u64> {
    let (date_time, rest) = text.split_at_checked(19)?;
    for (index, byte) in date_time.bytes().enumerate() {
        let fits = match index {
            4 | 7 => byte == b'-',
            10 => byte.eq_ignore_ascii_case(&b'T'),
            13 | 16 => byte == b':',
            _ => byte.is_ascii_digit(),
        };
        if !fits {
            return None;
        }
    }
    let field = |begin: usize, end: usize| date_time[begin..end].parse::<i8>().ok();
    let year: i16 = date_time[..4].parse().ok()?;
    let civil =
        DateTime::new(year, field(5, 7)?, field(8, 10)?, field(11, 13)?, field(14, 16)?, field(17, 19)?, 0)
            .ok()?;
    let (fraction, offset) = match rest.strip_prefix('.') {
        None => ("", rest),
        Some(rest) => rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit())?),
    };
    if rest.starts_with('.') && fraction.is_empty() {
        return None;
    }
    let seconds_east: i64 = match offset.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1]
            if [h0, h1, m0, m1].iter().all(|digit| digit.is_ascii_digit()) =>
        {
            let (hours, minutes): (i64, i64) = (offset[1..3].parse().ok()?, offset[4..6].parse().ok()?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = (hours * 60 + minutes) * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let epoch = DateTime::new(1970, 1, 1, 0, 0, 0, 0).unwrap();
    let since = civil.duration_since(epoch).as_secs() - seconds_east;
    let millis: u64 = format!("{fraction:0<3}")[..3].parse().unwrap();
    Some(u64::try_from(since).ok()? * 1_000 + millis)
}

fuzz_target!(|input: Input<'_>| -> Corpus {
    let unit = match input.unit {
        Unit::Seconds => TimestampUnit::Seconds,
        Unit::Millis => TimestampUnit::Millis,
        Unit::Rfc3339 => TimestampUnit::Rfc3339,
    };
    let tolerance = Duration::from_millis(input.tolerance_millis.into());
    let scheme =
        Algorithm::Sha256.scheme(SIGNATURE.as_str()).with_timestamp_unit(unit).with_tolerance(tolerance);
    let scheme = if input.in_body {
        scheme.with_timestamp_in_body("/at")
    } else {
        scheme.with_timestamp_header(TIME.as_str())
    };
    let provider = Provider::builder("fuzz").signature(scheme).build().unwrap();
    let verifier = provider.verifier(secrets()).unwrap();

    let text = input.text.bytes();
    let (mut headers, mut text, body) = if input.in_body {
        let Ok(text) = String::from_utf8(text) else { return Corpus::Reject };
        let body = format!(r#"{{"at":{}}}"#, serde_json::Value::from(&*text));
        (HeaderMap::new(), text.into_bytes(), body.into_bytes())
    } else {
        let Ok(line) = HeaderValue::from_bytes(&text) else { return Corpus::Reject };
        (HeaderMap::from_iter([(TIME, line)]), text, b"body".to_vec())
    };
    let signed = if input.in_body {
        body.clone()
    } else {
        text = trimmed(&text).to_vec();
        [&text[..], b".", &body].concat()
    };
    let signature = Written::Hex.encode(&Algorithm::Sha256.mac(1, &signed));
    headers.insert(SIGNATURE, HeaderValue::try_from(signature).unwrap());

    let expected = meaning(input.unit, &text);
    let now = match input.now {
        Now::At(seconds, millis) => u64::from(seconds) * 1_000 + u64::from(millis),
        Now::After(millis) => expected.unwrap_or(0).saturating_add(millis.into()),
        Now::Before(millis) => expected.unwrap_or(0).saturating_sub(millis.into()),
    };
    let Some(clock) = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(now)) else {
        return Corpus::Reject;
    };
    let now = if input.unit == Unit::Seconds { now / 1_000 * 1_000 } else { now };
    let expected = match expected {
        None => Err(RejectionReason::MalformedTimestamp),
        // What is beyond the range of the unit is at its end, and so may be the clock.
        Some(millis) if millis == u64::MAX => return Corpus::Keep,
        Some(millis) if now > millis && now - millis > tolerance.as_millis() as u64 => {
            Err(RejectionReason::TimestampTooOld)
        }
        Some(millis) if millis > now && millis - now > tolerance.as_millis() as u64 => {
            Err(RejectionReason::TimestampInFuture)
        }
        Some(millis) => Ok(Some(millis / 1_000)),
    };
    let found = verifier.verify(&headers, &body, clock);
    let found = found.map(|proof| proof.signed_at()).map_err(|rejection| rejection.reason());
    assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(&text));
    Corpus::Keep
});
