//! The `metrics` facade. Labels are configured names and closed vocabularies, never what a sender chose.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, counter, with_recorder};

use crate::error::RejectionReason;
use crate::response::Accepted;

static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// The keys of one receiver's metrics, made once: a delivery allocates nothing for them.
///
/// The handles behind the keys are asked for every time. Kept, they would tie the receiver to the recorder of its
/// first delivery, and a recorder that drops what was idle for a while would never see it again.
pub(super) struct Meters {
    scope: Arc<str>,
    accepted: [OnceLock<Key>; Accepted::Forwarded as usize + 1],
    rejected: [OnceLock<Key>; RejectionReason::InnerRefused as usize + 1],
    duplicates_done: Key,
    duplicates_in_flight: Key,
    body_bytes: Key,
    clock_skew: Key,
    in_flight: Key,
    handler_seconds: Key,
}

impl Meters {
    pub(super) fn new(scope: Arc<str>) -> Self {
        Self {
            accepted: std::array::from_fn(|_| OnceLock::new()),
            rejected: std::array::from_fn(|_| OnceLock::new()),
            duplicates_done: key(&scope, "webhook_duplicates_total", [("state", "done")]),
            duplicates_in_flight: key(&scope, "webhook_duplicates_total", [("state", "in_flight")]),
            body_bytes: key(&scope, "webhook_body_bytes", []),
            clock_skew: key(&scope, "webhook_clock_skew_seconds", []),
            in_flight: key(&scope, "webhook_handlers_in_flight", []),
            handler_seconds: key(&scope, "webhook_handler_seconds", []),
            scope,
        }
    }

    pub(super) fn answered(&self, verdict: Result<Accepted, RejectionReason>) {
        let (cell, outcome, reason) = match verdict {
            Ok(accepted) => (&self.accepted[accepted as usize], "accepted", accepted.as_str()),
            Err(reason) => (&self.rejected[reason as usize], "rejected", reason.as_str()),
        };
        let labels = [("outcome", outcome), ("reason", reason)];
        counted(cell.get_or_init(|| key(&self.scope, "webhook_deliveries_total", labels))).increment(1);
        match verdict {
            Ok(Accepted::Duplicate) => counted(&self.duplicates_done).increment(1),
            Err(RejectionReason::InFlight) => counted(&self.duplicates_in_flight).increment(1),
            _ => {}
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "bodies are far smaller than 2^52 bytes")]
    pub(super) fn body_bytes(&self, bytes: usize) {
        measured(&self.body_bytes).record(bytes as f64);
    }

    /// Positive where the sender's clock is behind ours, or the delivery was long under way.
    #[expect(clippy::cast_precision_loss, reason = "whole seconds are exact far beyond any clock")]
    pub(super) fn clock_skew(&self, signed: u64, now: u64) {
        measured(&self.clock_skew).record(now as f64 - signed as f64);
    }

    pub(super) fn handler_started(&self) {
        self.in_flight().increment(1.0);
    }

    pub(super) fn handler_ended(&self, elapsed: Duration) {
        self.in_flight().decrement(1.0);
        measured(&self.handler_seconds).record(elapsed.as_secs_f64());
    }

    pub(super) fn authentic(&self, secret_label: &Arc<str>) {
        let (provider, secret) = (Arc::clone(&self.scope), Arc::clone(secret_label));
        counter!("webhook_verified_total", "provider" => provider, "secret" => secret).increment(1);
    }

    pub(super) fn api_version_drift(&self) {
        counter!("webhook_api_version_drift_total", "provider" => Arc::clone(&self.scope)).increment(1);
    }

    pub(super) fn store_failed(&self, operation: &'static str) {
        let scope = Arc::clone(&self.scope);
        counter!("webhook_store_failures_total", "provider" => scope, "operation" => operation).increment(1);
    }

    pub(super) fn lease_lost(&self) {
        counter!("webhook_leases_lost_total", "provider" => Arc::clone(&self.scope)).increment(1);
    }

    fn in_flight(&self) -> Gauge {
        with_recorder(|recorder| recorder.register_gauge(&self.in_flight, &METADATA))
    }
}

fn key<const N: usize>(
    scope: &Arc<str>,
    name: &'static str,
    labels: [(&'static str, &'static str); N],
) -> Key {
    let provider = Label::new("provider", Arc::clone(scope));
    let labels = labels.into_iter().map(|(label, value)| Label::from_static_parts(label, value));
    Key::from_parts(name, std::iter::once(provider).chain(labels).collect::<Vec<_>>())
}

fn counted(key: &Key) -> Counter {
    with_recorder(|recorder| recorder.register_counter(key, &METADATA))
}

fn measured(key: &Key) -> Histogram {
    with_recorder(|recorder| recorder.register_histogram(key, &METADATA))
}
