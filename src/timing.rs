//! Every duration of the receiver in one checked value.

use std::time::Duration;

use crate::error::ConfigError;
use crate::provider::{Provider, Retries};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// How long each step may take, and how long a done event is remembered.
///
/// The defaults fit together; a change is checked when it is
/// [given to the layer](crate::WebhookLayer::with_timing):
///
/// - `respond_by <= handler_timeout`: a handler that outlives the answer must be allowed to finish.
/// - `handler_timeout + dead_letter_timeout + 2 x store_timeout < lease`: a claim must outlast everything that
///   is done under it, or two deliveries run one event.
/// - `retention >= the sender's retry horizon` and `>= 2 x tolerance`: a done mark must outlive every request
///   that can still be delivered, retried or replayed.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::{Timing, caspay};
///
/// let timing = Timing::for_provider(&caspay::provider());
/// assert_eq!(timing.respond_by(), Duration::from_secs(4)); // CasPay waits for 5
/// assert_eq!(timing.retention(), Duration::from_secs(7 * 86_400));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Timing {
    respond_by: Duration,
    handler_timeout: Duration,
    dead_letter_timeout: Duration,
    store_timeout: Duration,
    lease: Duration,
    retention: Duration,
}

impl Timing {
    /// The defaults for a provider.
    pub fn for_provider(provider: &Provider) -> Self {
        // An answer that arrives when the sender has hung up is none: keep a fifth of its patience, and at
        // least a second, for the way there and back.
        let respond_by = match provider.answer_deadline() {
            Some(deadline) => deadline.saturating_sub(SECOND.max(deadline / 5)).max(deadline / 2),
            None => 4 * SECOND,
        };
        let handler_timeout = 20 * SECOND;
        let horizon = match provider.retries() {
            Retries::Documented { horizon, .. } => horizon,
            Retries::Undocumented | Retries::Never => Duration::ZERO,
        };
        let tolerance = provider.tolerance().unwrap_or_default();
        Self {
            respond_by: respond_by.min(handler_timeout),
            handler_timeout,
            dead_letter_timeout: 5 * SECOND,
            store_timeout: 2 * SECOND,
            lease: 30 * SECOND,
            retention: (7 * DAY).max(horizon.saturating_add(DAY)).max(tolerance.saturating_mul(2)),
        }
    }

    /// When the sender has its answer at the latest, counted from the request's head, over body, claim,
    /// handler and completion. A handler that is not done by then goes on in a task of its own; the sender is
    /// answered 503, and its retry finds the event done. Code that blocks the executor delays it.
    ///
    /// Default: 4 s, which fits the least patient of the widespread senders (5 s); or the provider's documented
    /// deadline less a fifth, and less at least 1 s, but never less than half of it.
    #[must_use]
    pub fn respond_by(&self) -> Duration {
        self.respond_by
    }

    /// How long a handler may run, whether or not the sender still waits. Then it is dropped, and its lease is
    /// left to run out, since blocking work that it started may still be running. Default: 20 s, longer than any
    /// request should take, and short enough for the lease.
    #[must_use]
    pub fn handler_timeout(&self) -> Duration {
        self.handler_timeout
    }

    /// How long the [dead-letter hook](crate::WebhookLayer::with_dead_letter) may take. Default: 5 s, for it
    /// writes one record.
    #[must_use]
    pub fn dead_letter_timeout(&self) -> Duration {
        self.dead_letter_timeout
    }

    /// How long the store may take for one operation. Default: 2 s: a store that takes longer is down, and two
    /// operations must fit into the lease.
    #[must_use]
    pub fn store_timeout(&self) -> Duration {
        self.store_timeout
    }

    /// How long a claim is held when its holder vanishes. Default: 30 s; long enough for all that happens under
    /// it, short enough that nearly every sender still retries after it.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// How long a done event is remembered, counted from its completion; duplicates do not prolong it. Default:
    /// 7 days, which also covers an operator who redelivers by hand; or the provider's retry horizon and a day,
    /// or twice its tolerance, where one of them is longer. For a scheme that signs no timestamp it is the replay
    /// window.
    #[must_use]
    pub fn retention(&self) -> Duration {
        self.retention
    }

    /// Sets [`respond_by`](Self::respond_by).
    pub fn with_respond_by(mut self, duration: Duration) -> Self {
        self.respond_by = duration;
        self
    }

    /// Sets [`handler_timeout`](Self::handler_timeout).
    pub fn with_handler_timeout(mut self, duration: Duration) -> Self {
        self.handler_timeout = duration;
        self
    }

    /// Sets [`dead_letter_timeout`](Self::dead_letter_timeout).
    pub fn with_dead_letter_timeout(mut self, duration: Duration) -> Self {
        self.dead_letter_timeout = duration;
        self
    }

    /// Sets [`store_timeout`](Self::store_timeout).
    pub fn with_store_timeout(mut self, duration: Duration) -> Self {
        self.store_timeout = duration;
        self
    }

    /// Sets [`lease`](Self::lease).
    pub fn with_lease(mut self, duration: Duration) -> Self {
        self.lease = duration;
        self
    }

    /// Sets [`retention`](Self::retention).
    pub fn with_retention(mut self, duration: Duration) -> Self {
        self.retention = duration;
        self
    }

    pub(crate) fn check(&self, provider: &Provider) -> Result<(), ConfigError> {
        let rule = |holds: bool, rule, left, right| {
            if holds { Ok(()) } else { Err(ConfigError::InvalidTiming { rule, left, right }) }
        };
        let zero = Duration::ZERO;
        let respond_by = self.respond_by;
        rule(respond_by > zero, "respond_by > 0", respond_by, zero)?;
        rule(self.store_timeout > zero, "store_timeout > 0", self.store_timeout, zero)?;
        rule(
            respond_by <= self.handler_timeout,
            "respond_by <= handler_timeout",
            respond_by,
            self.handler_timeout,
        )?;
        let held = self
            .handler_timeout
            .saturating_add(self.dead_letter_timeout)
            .saturating_add(self.store_timeout.saturating_mul(2));
        rule(
            held < self.lease,
            "handler_timeout + dead_letter_timeout + 2 x store_timeout < lease",
            held,
            self.lease,
        )?;
        let retention = self.retention;
        rule(retention > zero, "retention > 0", retention, zero)?;
        if let Retries::Documented { horizon, .. } = provider.retries() {
            rule(retention >= horizon, "retention >= retry horizon", retention, horizon)?;
        }
        let window = provider.tolerance().unwrap_or_default().saturating_mul(2);
        rule(retention >= window, "retention >= 2 x tolerance", retention, window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::SignatureScheme;
    use crate::{casapay, caspay};

    fn provider(deadline: Option<Duration>, retries: Retries) -> Provider {
        let mut builder =
            Provider::builder("acme").signature(SignatureScheme::hmac_sha256("s")).retries(retries);
        if let Some(deadline) = deadline {
            builder = builder.answer_deadline(deadline);
        }
        builder.build().unwrap()
    }

    #[test]
    fn answers_keep_a_fifth_and_at_least_a_second() {
        let respond_by = |deadline: u32| {
            let provider = provider(Some(deadline * SECOND), Retries::Undocumented);
            Timing::for_provider(&provider).respond_by()
        };
        assert_eq!(respond_by(60), 20 * SECOND, "no later than a handler may run");
        assert_eq!(respond_by(20), 16 * SECOND);
        assert_eq!(respond_by(5), 4 * SECOND);
        assert_eq!(respond_by(3), 2 * SECOND);
        assert_eq!(respond_by(1), SECOND / 2);
        assert_eq!(Timing::for_provider(&casapay::provider()).respond_by(), 4 * SECOND);
    }

    #[test]
    fn every_default_passes_its_own_check() {
        let never = provider(Some(10 * SECOND), Retries::Never);
        let long = provider(None, Retries::Documented { horizon: 30 * DAY, resigned: false });
        for provider in [caspay::provider(), casapay::provider(), never, long] {
            Timing::for_provider(&provider).check(&provider).unwrap();
        }
    }

    #[test]
    fn no_duration_is_too_long() {
        let patient =
            provider(Some(Duration::MAX), Retries::Documented { horizon: Duration::MAX, resigned: true });
        Timing::for_provider(&patient).check(&patient).unwrap();
        let tolerant = casapay::provider().with_tolerance(Duration::MAX).unwrap();
        Timing::for_provider(&tolerant).check(&tolerant).unwrap();
    }

    #[test]
    fn retention_outlives_the_horizon() {
        let month = provider(None, Retries::Documented { horizon: 30 * DAY, resigned: false });
        let timing = Timing::for_provider(&month);
        assert_eq!(timing.retention(), 31 * DAY);
        assert!(timing.clone().with_retention(30 * DAY).check(&month).is_ok());
        let error = timing.with_retention(30 * DAY - SECOND).check(&month).unwrap_err();
        assert!(matches!(error, ConfigError::InvalidTiming { rule: "retention >= retry horizon", .. }));
    }

    #[test]
    fn each_rule_holds_exactly_at_its_edge() {
        let provider = casapay::provider();
        let broken = |timing: Timing| match timing.check(&provider) {
            Ok(()) => None,
            Err(ConfigError::InvalidTiming { rule, .. }) => Some(rule),
            Err(other) => panic!("{other}"),
        };
        let timing = || Timing::for_provider(&casapay::provider());
        assert_eq!(broken(timing().with_respond_by(20 * SECOND)), None);
        assert_eq!(broken(timing().with_respond_by(21 * SECOND)), Some("respond_by <= handler_timeout"));
        assert_eq!(broken(timing().with_respond_by(Duration::ZERO)), Some("respond_by > 0"));
        let lease = "handler_timeout + dead_letter_timeout + 2 x store_timeout < lease";
        assert_eq!(broken(timing().with_lease(29 * SECOND)), Some(lease));
        assert_eq!(broken(timing().with_lease(30 * SECOND)), None);
        assert_eq!(broken(timing().with_dead_letter_timeout(Duration::MAX)), Some(lease));
        assert_eq!(broken(timing().with_store_timeout(Duration::ZERO)), Some("store_timeout > 0"));
        assert_eq!(broken(timing().with_retention(600 * SECOND)), None);
        assert_eq!(broken(timing().with_retention(599 * SECOND)), Some("retention >= 2 x tolerance"));
        let caspay = caspay::provider();
        assert!(Timing::for_provider(&caspay).with_retention(Duration::ZERO).check(&caspay).is_err());
    }
}
