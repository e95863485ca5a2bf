//! Spans and events. Fields hold identities and reasons, never a body, a header or a secret.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use tracing::field::{Empty, display};
use tracing::instrument::Instrument as _;

use crate::dedup::StoreError;
use crate::delivery::Delivery;
use crate::dispatch::HandlerError;
use crate::error::{BoxError, RejectionReason};
use crate::layer::ConfigWarning;
use crate::response::Accepted;

/// What to filter by, wherever in the crate a line is written.
const TARGET: &str = "tower_webhook";

/// Ids and types come from the sender; a log line keeps this much of one.
const MAX_SHOWN: usize = 128;

/// The span of one delivery.
#[derive(Clone, Debug)]
pub(crate) struct Span(tracing::Span);

impl Span {
    pub(super) fn delivery(scope: &str) -> Self {
        Self(tracing::info_span!(
            target: TARGET,
            "webhook_delivery",
            provider = scope,
            tenant = Empty,
            event_id = Empty,
            event_type = Empty,
            secret = Empty,
            outcome = Empty,
            reason = Empty,
            latency_ms = Empty,
        ))
    }

    /// A tenant whose keys were found: nobody's made-up name.
    pub(crate) fn tenant(&self, tenant: &str) {
        self.0.record("tenant", tenant);
    }

    /// What is known once the signature holds.
    pub(super) fn authentic(&self, secret_label: &str) {
        self.0.record("secret", secret_label);
    }

    /// What is known once the envelope is read.
    pub(crate) fn identified(&self, id: &str, event_type: &str) {
        if self.0.is_disabled() {
            return;
        }
        self.0.record("event_id", display(shown(id)));
        self.0.record("event_type", display(shown(event_type)));
    }

    pub(super) fn answered(&self, verdict: Result<Accepted, RejectionReason>, latency: Duration) {
        if self.0.is_disabled() {
            return;
        }
        let (outcome, reason) = words(verdict);
        self.0.record("outcome", outcome);
        self.0.record("reason", reason);
        self.0.record("latency_ms", latency.as_secs_f64() * 1_000.0);
    }

    pub(super) fn refused(&self, scope: &str, reason: RejectionReason, suppressed: u64) {
        self.0.in_scope(|| {
            tracing::warn!(
                target: TARGET,
                provider = scope,
                reason = reason.as_str(),
                hint = reason.hint(),
                suppressed,
                "webhook delivery refused"
            );
        });
    }

    pub(super) fn not_accepted(&self, reason: RejectionReason) {
        self.0.in_scope(
            || tracing::info!(target: TARGET, reason = reason.as_str(), "webhook delivery not accepted"),
        );
    }

    /// Runs `future` within the span, wherever it is moved.
    pub(crate) fn instrument<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        future.instrument(self.0.clone())
    }
}

fn words(verdict: Result<Accepted, RejectionReason>) -> (&'static str, &'static str) {
    match verdict {
        Ok(accepted) => ("accepted", accepted.as_str()),
        Err(reason) => ("rejected", reason.as_str()),
    }
}

/// The beginning of a text, without control characters.
fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

pub(super) fn clock_suspect(scope: &str, signed: u64, now: u64) {
    tracing::warn!(
        target: TARGET,
        provider = scope,
        signed,
        now,
        "most authentic webhook deliveries are outside of the tolerance: is this machine's clock wrong?"
    );
}

pub(super) fn unreadable(scope: &str, error: &dyn Error) {
    tracing::error!(target: TARGET, provider = scope, error = %error, "authentic webhook delivery is unreadable");
}

pub(super) fn api_version_drift(found: Option<&str>, expected: &str) {
    let found = found.map(shown);
    tracing::debug!(target: TARGET, found, expected, "webhook payload has another api_version than expected");
}

pub(super) fn handler_failed(delivery: &Delivery, reason: RejectionReason, error: &HandlerError) {
    tracing::error!(
        target: TARGET,
        event_id = %shown(delivery.id()),
        event_type = %shown(delivery.event_type()),
        reason = reason.as_str(),
        error = %error,
        "webhook handler did not do its work"
    );
}

pub(super) fn dispatch_refused(delivery: &Delivery, error: &BoxError) {
    tracing::warn!(target: TARGET, event_id = %shown(delivery.id()), error = %error, "webhook dispatch refused the event");
}

pub(super) fn dead_letter_failed(delivery: &Delivery, error: Option<&BoxError>) {
    let error = error.map_or_else(|| "timed out or panicked".to_owned(), ToString::to_string);
    tracing::error!(target: TARGET, event_id = %shown(delivery.id()), error, "dead letter could not be handed over");
}

pub(super) fn store_failed(scope: &str, operation: &'static str, error: &StoreError) {
    tracing::error!(
        target: TARGET,
        provider = scope,
        operation,
        error = %error,
        cause = error.source().map(display),
        "webhook deduplication store failed"
    );
}

pub(super) fn secret_lookup_failed(scope: &str, tenant: &str, error: &BoxError, suppressed: u64) {
    tracing::error!(
        target: TARGET,
        provider = scope,
        tenant,
        error = %error,
        suppressed,
        "secrets of a webhook tenant could not be looked up"
    );
}

pub(super) fn finished_late(delivery: &Delivery, verdict: Result<Accepted, RejectionReason>) {
    let (outcome, reason) = words(verdict);
    tracing::info!(
        target: TARGET,
        event_id = %shown(delivery.id()),
        event_type = %shown(delivery.event_type()),
        outcome,
        reason,
        "webhook delivery finished after its request had ended"
    );
}

pub(super) fn lease_lost(delivery: &Delivery) {
    tracing::warn!(
        target: TARGET,
        event_id = %shown(delivery.id()),
        event_type = %shown(delivery.event_type()),
        "webhook handler finished after its lease had been lost: it may have run twice"
    );
}

pub(super) fn config_warning(scope: &str, warning: &ConfigWarning) {
    tracing::warn!(target: TARGET, provider = scope, "{warning}");
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn texts_are_cut_and_cleaned() {
        assert_eq!(shown("evt_1"), "evt_1");
        assert_eq!(shown("a\nb\0"), "a\u{fffd}b\u{fffd}");
        assert_eq!(shown(&"é".repeat(500)).chars().count(), 128);
    }
}
