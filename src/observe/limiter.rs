//! At most one log line a second for each reason: a flood of forgeries must not become a flood of logs.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::RejectionReason;

const INTERVAL: Duration = Duration::from_secs(1);

/// When each reason was logged last, and how often it has come since.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    last: Mutex<Vec<(RejectionReason, Instant, u64)>>,
}

impl Limiter {
    /// Whether to log now: how many were suppressed since the last time.
    pub(crate) fn admit(&self, reason: RejectionReason, now: Instant) -> Option<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, logged, suppressed)) = last.iter_mut().find(|(known, _, _)| *known == reason) else {
            last.push((reason, now, 0));
            return Some(0);
        };
        if now.saturating_duration_since(*logged) < INTERVAL {
            *suppressed += 1;
            return None;
        }
        *logged = now;
        Some(std::mem::take(suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_for_each_reason() {
        let (limiter, start) = (Limiter::default(), Instant::now());
        let admit = |reason, millis| limiter.admit(reason, start + Duration::from_millis(millis));
        let (mismatch, missing) = (RejectionReason::SignatureMismatch, RejectionReason::MissingHeader);
        assert_eq!(admit(mismatch, 0), Some(0));
        assert_eq!(admit(mismatch, 1), None);
        assert_eq!(admit(missing, 2), Some(0));
        assert_eq!(admit(mismatch, 999), None);
        assert_eq!(admit(mismatch, 1_000), Some(2));
        assert_eq!(admit(mismatch, 2_000), Some(0));
    }
}
