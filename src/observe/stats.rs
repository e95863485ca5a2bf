//! Counters that are always there, with or without a metrics recorder.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::clock_watch::ClockWatch;
use crate::error::RejectionReason;
use crate::response::Accepted;

/// A number that only goes up, except for a gauge.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn subtract_one(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(super) macs: Counter,
    pub(super) envelopes: Counter,
    pub(super) api_version_drift: Counter,
    pub(super) in_flight: Counter,
    pub(super) leases_lost: Counter,
    pub(super) completions_retried: Counter,
    pub(super) store_failures: Counter,
    pub(super) dead_letter_failures: Counter,
    pub(super) without_claim: Counter,
    pub(super) secret_lookups: Counter,
    pub(super) secret_lookup_failures: Counter,
    pub(super) moved: Counter,
    accepted: [Counter; Accepted::Forwarded as usize + 1],
    rejected: Rejected,
}

/// A counter for each reason.
#[derive(Debug)]
struct Rejected([Counter; RejectionReason::InnerRefused as usize + 1]);

/// Arrays have a default of their own up to 32 items.
impl Default for Rejected {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl Counters {
    pub(super) fn accepted(&self, accepted: Accepted) {
        self.accepted[accepted as usize].add(1);
    }

    pub(super) fn rejected(&self, reason: RejectionReason) {
        self.rejected.0[reason as usize].add(1);
    }
}

/// The counters of a receiver, read live: every method returns the count since the layer was built. Clones of a
/// layer share them.
///
/// ```
/// use tower_webhook::{Accepted, RejectionReason, Secret, WebhookLayer, caspay};
///
/// let webhook = WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret")?)?;
/// let stats = webhook.stats();
/// assert_eq!(stats.accepted(Accepted::Handled), 0);
/// assert_eq!(stats.rejected(RejectionReason::SignatureMismatch), 0);
/// assert!(!stats.clock_suspect());
/// # Ok::<(), tower_webhook::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stats {
    counters: Arc<Counters>,
    clock_watch: Arc<ClockWatch>,
}

impl Stats {
    pub(super) fn new(counters: Arc<Counters>, clock_watch: Arc<ClockWatch>) -> Self {
        Self { counters, clock_watch }
    }

    /// Deliveries accepted in this way.
    #[must_use]
    pub fn accepted(&self, accepted: Accepted) -> u64 {
        self.counters.accepted[accepted as usize].get()
    }

    /// Deliveries not accepted for this reason.
    #[must_use]
    pub fn rejected(&self, reason: RejectionReason) -> u64 {
        self.counters.rejected.0[reason as usize].get()
    }

    /// Deliveries with a right signature whose timestamp was outside of the tolerance: replays, senders that
    /// resend with the first timestamp, or a wrong clock.
    #[must_use]
    pub fn stale_but_authentic(&self) -> u64 {
        self.rejected(RejectionReason::TimestampTooOld) + self.rejected(RejectionReason::TimestampInFuture)
    }

    /// Whether more than half of the latest authentic deliveries were outside of the tolerance, which points to
    /// this machine's clock. Worth an alarm; the tolerance never widens by itself.
    #[must_use]
    pub fn clock_suspect(&self) -> bool {
        self.clock_watch.is_suspect()
    }

    /// MACs computed: one a secret for every body that was read.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.counters.macs.get()
    }

    /// Envelopes parsed. Only authentic bodies are.
    #[must_use]
    pub fn envelopes(&self) -> u64 {
        self.counters.envelopes.get()
    }

    /// Events whose `api_version` was not the expected one. They were handled.
    #[must_use]
    pub fn api_version_drift(&self) -> u64 {
        self.counters.api_version_drift.get()
    }

    /// Handlers running now, those that outlived their request among them.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.counters.in_flight.get()
    }

    /// Handlers that outlived their request and were moved into a task.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.counters.moved.get()
    }

    /// Completions that found the lease lost: the handler may have run twice.
    #[must_use]
    pub fn leases_lost(&self) -> u64 {
        self.counters.leases_lost.get()
    }

    /// Completions tried again in the background, because the store failed after the handler had succeeded.
    #[must_use]
    pub fn completions_retried(&self) -> u64 {
        self.counters.completions_retried.get()
    }

    /// Store operations that failed or took too long.
    #[must_use]
    pub fn store_failures(&self) -> u64 {
        self.counters.store_failures.get()
    }

    /// Dead letters that could not be handed over.
    #[must_use]
    pub fn dead_letter_failures(&self) -> u64 {
        self.counters.dead_letter_failures.get()
    }

    /// Times that a [`SecretSource`](crate::SecretSource) was asked for a tenant's secrets.
    #[must_use]
    pub fn secret_lookups(&self) -> u64 {
        self.counters.secret_lookups.get()
    }

    /// Look-ups of a tenant's secrets that failed, took too long, or found what is no key of the provider. Worth an
    /// alarm: until the grace is over, requests may not show it.
    #[must_use]
    pub fn secret_lookup_failures(&self) -> u64 {
        self.counters.secret_lookup_failures.get()
    }

    /// Events handled without a claim while the store was down, as `OnStoreFailure::Process` allows.
    #[must_use]
    pub fn without_claim(&self) -> u64 {
        self.counters.without_claim.get()
    }
}
