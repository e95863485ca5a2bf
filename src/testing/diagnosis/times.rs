//! Clocks, and timestamps that are not those that were signed.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::DATE;

use super::{Cause, Diagnosis};
use crate::clock::unix_seconds;
use crate::error::RejectionReason;
use crate::provider::Provider;
use crate::signature::{SignedTimestamp, TimestampUnit};

/// How far from now a timestamp in the right unit may be: a capture may be old, but not as old as another unit makes it.
const PLAUSIBLE_SECONDS: u64 = 20 * 366 * 86_400;

/// What a timestamp that is authentic says at the time `at`; `None` where it lies within the tolerance.
pub(super) fn judge(
    unit: TimestampUnit,
    timestamp: &SignedTimestamp,
    tolerance: Duration,
    at: SystemTime,
) -> Option<Diagnosis> {
    let reason = timestamp.check(at, tolerance).err()?;
    let (signed, now) = (timestamp.millis(), unix_seconds(at).saturating_mul(1_000));
    if let Some(found) = other_unit(unit, signed, now) {
        let expected = if unit == TimestampUnit::Millis { "milliseconds" } else { "seconds" };
        let explanation = format!(
            "The signature is right, but its timestamp is in {found}; the provider's are in {expected}."
        );
        let advice = "Whoever signs must write the other unit: look at the sender, or at the preset.";
        return Some(Diagnosis::new(Cause::Clock, explanation, advice));
    }
    let off = Duration::from_millis(signed.abs_diff(now) / 1_000 * 1_000);
    let limit = tolerance.as_secs();
    Some(if reason == RejectionReason::TimestampTooOld {
        let over = off.saturating_sub(tolerance);
        Diagnosis::new(
            Cause::Stale,
            format!(
                "The signature is right, but was made {} before the request arrived: {} more than the tolerance of {limit} s.",
                words(off),
                words(over)
            ),
            "If it was captured a while ago, say when it arrived. If it has just arrived, your clock is ahead, the \
             request waited in a queue, or the provider resends with the original timestamp: see \
             `Provider::with_tolerance`.",
        )
    } else {
        Diagnosis::new(
            Cause::Clock,
            format!(
                "The signature is right, but its timestamp lies {} ahead of the time at which the request arrived; the \
                 tolerance is {limit} s.",
                words(off)
            ),
            "Your clock is behind, or the sender's is ahead: check NTP on this machine.",
        )
    })
}

/// The unit that would make sense, where the right one does not.
fn other_unit(unit: TimestampUnit, signed_millis: u64, now_millis: u64) -> Option<&'static str> {
    let is_near = |millis: u64| millis.abs_diff(now_millis) < PLAUSIBLE_SECONDS * 1_000;
    if is_near(signed_millis) {
        return None;
    }
    match unit {
        TimestampUnit::Seconds if is_near(signed_millis / 1_000) => Some("milliseconds"),
        TimestampUnit::Seconds if is_near(signed_millis / 1_000_000) => Some("microseconds"),
        TimestampUnit::Millis if is_near(signed_millis.saturating_mul(1_000)) => Some("seconds"),
        _ => None,
    }
}

/// Whole seconds in the two largest units that there are.
pub(super) fn words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min {} s", seconds / 60, seconds % 60),
        7_200..172_800 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} days {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Timestamps that may have been signed in the place of the one that the request has, in the scheme's unit.
pub(super) fn others(
    provider: &Provider,
    unit: TimestampUnit,
    timestamp: &SignedTimestamp,
    headers: &HeaderMap,
    body: &[u8],
) -> Vec<(&'static str, String)> {
    let mut others: Vec<(&'static str, String)> = Vec::new();
    let mut add = |what: &'static str, text: String| {
        if text.as_bytes() != timestamp.text() && others.iter().all(|(_, known)| *known != text) {
            others.push((what, text));
        }
    };
    match unit {
        TimestampUnit::Seconds => {
            add("in milliseconds", format!("{}000", timestamp.seconds()));
            add("in seconds, not in milliseconds", (timestamp.seconds() / 1_000).to_string());
        }
        TimestampUnit::Millis => add("in seconds", timestamp.seconds().to_string()),
        TimestampUnit::Rfc3339 => add("in seconds", timestamp.seconds().to_string()),
    }
    let created = provider.envelope().scan(&body.to_vec().into(), headers, || [0; 32]).ok();
    if let Some(created) = created.and_then(|event| event.created) {
        add("of the event's creation", unit.write(created));
    }
    if let Some(date) = headers.get(DATE).and_then(|date| date.to_str().ok()).and_then(http_date) {
        for seconds in [date, date.saturating_sub(1), date + 1] {
            add("of the header `date`", unit.write(seconds));
        }
    }
    // A sender that signs again sends again: a header out of one attempt, a signature out of another.
    for off in [1, 2, 3] {
        add("a moment earlier", unit.write(timestamp.seconds().saturating_sub(off)));
        add("a moment later", unit.write(timestamp.seconds() + off));
    }
    others
}

/// `Tue, 14 Nov 2023 22:13:20 GMT`, by way of the one parser of dates that there is.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let [_, day, month, year, time, "GMT"] = *text.split(' ').collect::<Vec<_>>() else { return None };
    let month = MONTHS.find(month).filter(|at| at % 3 == 0 && month.len() == 3)? / 3 + 1;
    let date = format!("{year}-{month:02}-{day}T{time}Z");
    SignedTimestamp::parse(TimestampUnit::Rfc3339, date.as_bytes()).ok().map(|time| time.seconds())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn judged(unit: TimestampUnit, text: &str) -> Option<(Cause, String)> {
        let timestamp = SignedTimestamp::parse(unit, text.as_bytes()).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let found = judge(unit, &timestamp, Duration::from_secs(300), at)?;
        Some((found.cause(), found.explanation().to_owned()))
    }

    #[test]
    fn late_early_and_in_another_unit() {
        let seconds = |text: &str| judged(TimestampUnit::Seconds, text);
        assert_eq!(seconds("1700000000"), None);
        assert_eq!(seconds("1699999700"), None);
        let (cause, why) = seconds("1699996400").unwrap();
        assert_eq!(cause, Cause::Stale);
        assert!(why.contains("made 60 min 0 s before") && why.contains(": 55 min 0 s more than"), "{why}");
        let (cause, why) = seconds("1700000400").unwrap();
        assert_eq!(cause, Cause::Clock);
        assert!(why.contains("lies 6 min 40 s ahead"), "{why}");
        assert!(seconds("1700000000000").unwrap().1.contains("is in milliseconds;"));
        assert!(seconds("1700000000000000").unwrap().1.contains("is in microseconds;"));
        assert!(judged(TimestampUnit::Millis, "1700000000").unwrap().1.contains("is in seconds;"));
        assert_eq!(judged(TimestampUnit::Millis, "1700000300000"), None);
        assert_eq!(seconds("0").unwrap().0, Cause::Stale);
        assert_eq!(seconds("999999999999999999").unwrap().0, Cause::Clock);
    }

    #[test]
    fn durations_are_read_at_a_glance() {
        let words = |seconds| words(Duration::from_secs(seconds));
        assert_eq!(
            [119, 120, 7_199, 7_200, 172_799, 172_800].map(words),
            ["119 s", "2 min 0 s", "119 min 59 s", "2 h 0 min", "47 h 59 min", "2 days 0 h",]
        );
    }

    #[test]
    fn dates_of_http_are_read() {
        assert_eq!(http_date("Tue, 14 Nov 2023 22:13:20 GMT"), Some(NOW));
        for text in ["", "Tue, 14 ove 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:20 CET", "14 Nov 2023"] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }

    #[test]
    fn a_few_other_times_are_known() {
        let timestamp = SignedTimestamp::parse(TimestampUnit::Seconds, b"1700000000").unwrap();
        let date = http::HeaderValue::from_static("Tue, 14 Nov 2023 22:14:20 GMT");
        let headers = HeaderMap::from_iter([(DATE, date)]);
        let body = br#"{"id":"evt_1","type":"invoice.paid","created":1600000000,"data":{"object":{}}}"#;
        let provider = crate::casapay::provider();
        let others = others(&provider, TimestampUnit::Seconds, &timestamp, &headers, body);
        for text in ["1700000000000", "1600000000", "1700000060", "1700000061", "1699999999", "1700000003"] {
            assert!(others.iter().any(|(_, other)| other == text), "{text}");
        }
        assert!(others.len() <= 12);
    }
}
