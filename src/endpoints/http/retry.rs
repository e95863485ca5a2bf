//! Whether and when a call is tried again. No I/O.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

use super::ClientOptions;
use crate::endpoints::error::{EndpointError, EndpointErrorKind};

/// How long to wait before the next attempt; `None` where there is none.
pub(super) fn pause(
    options: &ClientOptions,
    failure: &EndpointError,
    attempt: u32,
    elapsed: Duration,
    jitter: f64,
) -> Option<Duration> {
    if attempt >= options.attempts || !may_pass(failure) {
        return None;
    }
    let doubled = options.first_pause.saturating_mul(1 << (attempt - 1).min(16));
    let pause = failure.retry_after().unwrap_or_else(|| doubled.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0));
    (elapsed.checked_add(pause)? < options.deadline).then_some(pause)
}

/// Whether another attempt can end otherwise.
fn may_pass(failure: &EndpointError) -> bool {
    use EndpointErrorKind as K;
    match failure.kind() {
        K::RateLimited | K::Unreachable | K::Timeout | K::Broken => true,
        K::Server => matches!(
            failure.status(),
            Some(
                StatusCode::INTERNAL_SERVER_ERROR
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            )
        ),
        _ => false,
    }
}

/// `Retry-After`: whole seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has: never.
        return Some(text.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// A number from 0 to 1, from the seeds of the standard library's hash maps.
pub(super) fn jitter() -> f64 {
    f64::from(u32::try_from(RandomState::new().hash_one(0_u8) >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn failure(kind: EndpointErrorKind) -> EndpointError {
        EndpointError::new(kind, "p")
    }

    #[test]
    fn pauses_double_and_are_shortened_by_up_to_a_half() {
        let options = ClientOptions::default().with_first_pause(Duration::from_secs(1)).with_attempts(5);
        let after = |attempt, jitter| {
            pause(&options, &failure(EndpointErrorKind::Timeout), attempt, Duration::ZERO, jitter)
        };
        let seconds: Vec<_> =
            (1..=5).map(|attempt| after(attempt, 0.0).map(|pause| pause.as_secs())).collect();
        assert_eq!(seconds, [Some(1), Some(2), Some(4), Some(8), None]);
        assert_eq!(after(2, 1.0), Some(Duration::from_secs(1)));
        assert!((0..100).map(|_| jitter()).all(|number| (0.0..=1.0).contains(&number)));
    }

    #[test]
    fn what_the_api_asks_for_is_done_or_the_call_ends() {
        let options = ClientOptions::default().with_deadline(Duration::from_secs(30));
        let asked = |seconds| {
            failure(EndpointErrorKind::RateLimited).with_retry_after(Some(Duration::from_secs(seconds)))
        };
        let elapsed = Duration::from_secs(5);
        assert_eq!(pause(&options, &asked(7), 1, elapsed, 0.9), Some(Duration::from_secs(7)));
        assert_eq!(pause(&options, &asked(0), 1, elapsed, 0.9), Some(Duration::ZERO));
        assert_eq!(pause(&options, &asked(25), 1, elapsed, 0.9), None, "ends when the deadline does");
        assert_eq!(pause(&options, &asked(u64::MAX), 1, elapsed, 0.9), None);
    }

    #[test]
    fn what_another_attempt_cannot_change_is_not_tried_again() {
        let again = |failure: EndpointError| {
            pause(&ClientOptions::default(), &failure, 1, Duration::ZERO, 0.0).is_some()
        };
        let server = |status| failure(EndpointErrorKind::Server).with_answer(status, None);
        for status in [500, 502, 503, 504] {
            assert!(again(server(StatusCode::from_u16(status).unwrap())), "{status}");
        }
        assert!(!again(server(StatusCode::NOT_IMPLEMENTED)));
        use EndpointErrorKind as K;
        for kind in [
            K::BadRequest,
            K::Unauthorized,
            K::NotFound,
            K::Conflict,
            K::Redirected,
            K::Malformed,
            K::TooLarge,
        ] {
            assert!(!again(failure(kind)), "{kind:?}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        let read = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
            retry_after(&headers, now)
        };
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(read("Sun, 06 Nov 1994 08:50:37 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(read("Sun, 06 Nov 1994 08:48:37 GMT"), Some(Duration::ZERO));
        assert_eq!(read("99999999999999999999999"), Some(Duration::MAX));
        for text in ["", "-1", "1.5", "soon", "+1"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
