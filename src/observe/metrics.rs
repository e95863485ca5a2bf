//! The `metrics` facade. Labels are configured names and closed vocabularies, never what a sender chose.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::error::RejectionReason;
use crate::response::Accepted;

pub(super) fn answered(scope: &Arc<str>, verdict: Result<Accepted, RejectionReason>) {
    let (outcome, reason) = match verdict {
        Ok(accepted) => ("accepted", accepted.as_str()),
        Err(reason) => ("rejected", reason.as_str()),
    };
    counter!("webhook_deliveries_total", "provider" => Arc::clone(scope), "outcome" => outcome, "reason" => reason)
        .increment(1);
    if matches!(verdict, Ok(Accepted::Duplicate) | Err(RejectionReason::InFlight)) {
        let state = if verdict.is_ok() { "done" } else { "in_flight" };
        counter!("webhook_duplicates_total", "provider" => Arc::clone(scope), "state" => state).increment(1);
    }
}

#[expect(clippy::cast_precision_loss, reason = "bodies are far smaller than 2^52 bytes")]
pub(super) fn body_bytes(scope: &Arc<str>, bytes: usize) {
    histogram!("webhook_body_bytes", "provider" => Arc::clone(scope)).record(bytes as f64);
}

/// Positive where the sender's clock is behind ours, or the delivery was long under way.
#[expect(clippy::cast_precision_loss, reason = "whole seconds are exact far beyond any clock")]
pub(super) fn clock_skew(scope: &Arc<str>, signed: u64, now: u64) {
    histogram!("webhook_clock_skew_seconds", "provider" => Arc::clone(scope))
        .record(now as f64 - signed as f64);
}

pub(super) fn api_version_drift(scope: &Arc<str>) {
    counter!("webhook_api_version_drift_total", "provider" => Arc::clone(scope)).increment(1);
}

pub(super) fn in_flight(scope: &Arc<str>, change: f64) {
    gauge!("webhook_handlers_in_flight", "provider" => Arc::clone(scope)).increment(change);
}

pub(super) fn handler_ended(scope: &Arc<str>, elapsed: Duration) {
    in_flight(scope, -1.0);
    histogram!("webhook_handler_seconds", "provider" => Arc::clone(scope)).record(elapsed.as_secs_f64());
}

pub(super) fn store_failed(scope: &Arc<str>, operation: &'static str) {
    counter!("webhook_store_failures_total", "provider" => Arc::clone(scope), "operation" => operation)
        .increment(1);
}

pub(super) fn lease_lost(scope: &Arc<str>) {
    counter!("webhook_leases_lost_total", "provider" => Arc::clone(scope)).increment(1);
}
