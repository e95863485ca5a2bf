//! What an operator sees: counters to read, `tracing` and `metrics` where their features are on.
//!
//! Every fact passes through [`Observer`], so that the three never disagree. None of them is given a secret, a
//! signature or a body.

mod clock_watch;
mod limiter;
#[cfg(feature = "metrics")]
mod metrics;
mod stats;
#[cfg_attr(not(feature = "tracing"), path = "untraced.rs")]
mod trace;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use self::clock_watch::ClockWatch;
use self::limiter::Limiter;
use self::stats::Counters;
pub use self::stats::Stats;
pub(crate) use self::trace::Span;
use crate::clock::{Clock, unix_seconds};
use crate::delivery::Delivery;
use crate::dispatch::HandlerError;
use crate::error::{BoxError, RejectionReason};
use crate::response::Accepted;

/// Counts, logs and measures for one receiver.
pub(crate) struct Observer {
    scope: Arc<str>,
    counters: Arc<Counters>,
    clock_watch: Arc<ClockWatch>,
    limiter: Limiter,
    /// Apart: a failed look-up is not a refusal yet.
    lookup_limiter: Limiter,
    #[cfg(feature = "metrics")]
    meters: metrics::Meters,
}

impl Observer {
    pub(crate) fn new(scope: Arc<str>) -> Self {
        Self {
            #[cfg(feature = "metrics")]
            meters: metrics::Meters::new(Arc::clone(&scope)),
            scope,
            counters: Arc::default(),
            clock_watch: Arc::default(),
            limiter: Limiter::default(),
            lookup_limiter: Limiter::default(),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats::new(Arc::clone(&self.counters), Arc::clone(&self.clock_watch))
    }

    pub(crate) fn span(&self) -> Span {
        Span::delivery(&self.scope)
    }

    /// A request's end, whichever way.
    pub(crate) fn answered(
        &self,
        span: &Span,
        verdict: Result<Accepted, RejectionReason>,
        latency: Duration,
        clock: &dyn Clock,
    ) {
        match verdict {
            Ok(accepted) => self.counters.accepted(accepted),
            Err(reason) => self.counters.rejected(reason),
        }
        #[cfg(feature = "metrics")]
        self.meters.answered(verdict);
        span.answered(verdict, latency);
        match verdict {
            Err(reason) if is_refusal(reason) => {
                if let Some(suppressed) = self.limiter.admit(reason, clock.monotonic()) {
                    span.refused(&self.scope, reason, suppressed);
                }
            }
            Err(reason) => span.not_accepted(reason),
            Ok(_) => {}
        }
    }

    /// `macs` MACs were computed over a body.
    pub(crate) fn verified(&self, macs: usize, body_bytes: usize) {
        self.counters.macs.add(macs);
        #[cfg(feature = "metrics")]
        self.meters.body_bytes(body_bytes);
        #[cfg(not(feature = "metrics"))]
        let _ = body_bytes;
    }

    /// The signature holds, by the secret of this label.
    pub(crate) fn authentic(&self, span: &Span, secret_label: &Arc<str>) {
        #[cfg(feature = "metrics")]
        self.meters.authentic(secret_label);
        span.authentic(secret_label);
    }

    /// An authentic request signed a timestamp; `fresh` says whether it lay within the tolerance.
    pub(crate) fn signed_timestamp(&self, signed: u64, now: SystemTime, fresh: bool) {
        #[cfg(feature = "metrics")]
        self.meters.clock_skew(signed, unix_seconds(now));
        if self.clock_watch.record(fresh) {
            trace::clock_suspect(&self.scope, signed, unix_seconds(now));
        }
    }

    pub(crate) fn secret_lookup(&self) {
        self.counters.secret_lookups.add(1);
    }

    /// A look-up came to nothing. Strangers can cause as many as they like: logged at a bounded rate.
    pub(crate) fn secret_lookup_failed(&self, tenant: &str, error: &BoxError, clock: &dyn Clock) {
        self.counters.secret_lookup_failures.add(1);
        let suppressed = self.lookup_limiter.admit(RejectionReason::SecretsUnavailable, clock.monotonic());
        if let Some(suppressed) = suppressed {
            trace::secret_lookup_failed(&self.scope, tenant, error, suppressed);
        }
    }

    pub(crate) fn envelope_scanned(&self) {
        self.counters.envelopes.add(1);
    }

    pub(crate) fn unreadable(&self, error: &dyn std::error::Error) {
        trace::unreadable(&self.scope, error);
    }

    pub(crate) fn api_version_drift(&self, found: Option<&str>, expected: &str) {
        self.counters.api_version_drift.add(1);
        #[cfg(feature = "metrics")]
        self.meters.api_version_drift();
        trace::api_version_drift(found, expected);
    }

    /// A handler begins. The returned guard says when it has ended.
    pub(crate) fn handler_started(self: &Arc<Self>) -> HandlerGuard {
        self.counters.in_flight.add(1);
        #[cfg(feature = "metrics")]
        self.meters.handler_started();
        HandlerGuard {
            observer: Arc::clone(self),
            #[cfg(feature = "metrics")]
            started: tokio::time::Instant::now(),
        }
    }

    pub(crate) fn handler_failed(&self, delivery: &Delivery, reason: RejectionReason, error: &HandlerError) {
        trace::handler_failed(delivery, reason, error);
    }

    pub(crate) fn dispatch_refused(&self, delivery: &Delivery, error: &BoxError) {
        trace::dispatch_refused(delivery, error);
    }

    pub(crate) fn dead_letter_failed(&self, delivery: &Delivery, error: Option<&BoxError>) {
        self.counters.dead_letter_failures.add(1);
        trace::dead_letter_failed(delivery, error);
    }

    pub(crate) fn store_failed(&self, operation: &'static str, error: &crate::dedup::StoreError) {
        self.counters.store_failures.add(1);
        #[cfg(feature = "metrics")]
        self.meters.store_failed(operation);
        trace::store_failed(&self.scope, operation, error);
    }

    pub(crate) fn ran_without_claim(&self) {
        self.counters.without_claim.add(1);
    }

    pub(crate) fn lease_lost(&self, delivery: &Delivery) {
        self.counters.leases_lost.add(1);
        #[cfg(feature = "metrics")]
        self.meters.lease_lost();
        trace::lease_lost(delivery);
    }

    pub(crate) fn completion_retried(&self) {
        self.counters.completions_retried.add(1);
    }

    pub(crate) fn moved(&self) {
        self.counters.moved.add(1);
    }

    /// Work that had outlived its request has ended.
    pub(crate) fn finished_late(&self, delivery: &Delivery, verdict: Result<Accepted, RejectionReason>) {
        trace::finished_late(delivery, verdict);
    }

    pub(crate) fn warn(&self, warning: &crate::layer::ConfigWarning) {
        trace::config_warning(&self.scope, warning);
    }
}

/// Whether a reason is the sender's fault, or a stranger's: logged with a hint, at a bounded rate.
fn is_refusal(reason: RejectionReason) -> bool {
    use RejectionReason as R;
    !reason.is_authentic() || matches!(reason, R::TimestampTooOld | R::TimestampInFuture | R::EventTooOld)
}

/// Counts a running handler, however it ends.
pub(crate) struct HandlerGuard {
    observer: Arc<Observer>,
    #[cfg(feature = "metrics")]
    started: tokio::time::Instant,
}

impl Drop for HandlerGuard {
    fn drop(&mut self) {
        self.observer.counters.in_flight.subtract_one();
        #[cfg(feature = "metrics")]
        self.observer.meters.handler_ended(self.started.elapsed());
    }
}
