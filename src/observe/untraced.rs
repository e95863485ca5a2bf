//! Stands in for `trace` where the feature `tracing` is off.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use crate::dedup::StoreError;
use crate::delivery::Delivery;
use crate::dispatch::HandlerError;
use crate::error::{BoxError, RejectionReason};
use crate::layer::ConfigWarning;
use crate::response::Accepted;

#[derive(Clone, Debug)]
pub(crate) struct Span;

impl Span {
    pub(super) fn delivery(_: &str) -> Self {
        Self
    }

    pub(crate) fn tenant(&self, _: &str) {}

    pub(super) fn authentic(&self, _: &str) {}

    pub(crate) fn identified(&self, _: &str, _: &str) {}

    pub(super) fn answered(&self, _: Result<Accepted, RejectionReason>, _: Duration) {}

    pub(super) fn refused(&self, _: &str, reason: RejectionReason, _: u64) {
        let _ = reason.hint();
    }

    pub(super) fn not_accepted(&self, _: RejectionReason) {}

    pub(crate) fn instrument<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        future
    }
}

pub(super) fn clock_suspect(_: &str, _: u64, _: u64) {}
pub(super) fn unreadable(_: &str, _: &dyn Error) {}
pub(super) fn api_version_drift(_: Option<&str>, _: &str) {}
pub(super) fn handler_failed(_: &Delivery, _: RejectionReason, _: &HandlerError) {}
pub(super) fn dispatch_refused(_: &Delivery, _: &BoxError) {}
pub(super) fn dead_letter_failed(_: &Delivery, _: Option<&BoxError>) {}
pub(super) fn store_failed(_: &str, _: &'static str, _: &StoreError) {}
pub(super) fn secret_lookup_failed(_: &str, _: &str, _: &BoxError, _: u64) {}
pub(super) fn finished_late(_: &Delivery, _: Result<Accepted, RejectionReason>) {}
pub(super) fn lease_lost(_: &Delivery) {}
pub(super) fn config_warning(_: &str, _: &ConfigWarning) {}
