//! Finds the keys of a request's tenant: at hand, or from the source, which is asked once for all who wait.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::request::Parts;
use tokio::sync::Semaphore;

use super::cache::{Answer, Cache, Cached, Flight};
use super::key::TenantKey;
use super::source::ErasedSource;
use crate::clock::Clock;
use crate::error::{BoxError, RejectionReason};
use crate::observe::Observer;
use crate::run::{Ran, run};
use crate::signature::{Authenticator, Keyring};

/// The tenants of one provider.
pub(crate) struct Registry {
    pub(super) key: TenantKey,
    pub(super) source: Box<dyn ErasedSource>,
    pub(super) timeout: Duration,
    /// How many look-ups may be under way.
    pub(super) lookups: Semaphore,
    /// How many requests may wait for one.
    pub(super) waiting: Semaphore,
    /// For tenants who are unknown.
    pub(super) decoy: Arc<Keyring>,
    pub(super) cache: Mutex<Cache>,
}

/// Whose keys a request is to be verified by.
pub(crate) struct TenantKeys {
    /// `None` for a tenant who is unknown: the keys are then nobody's.
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) keyring: Arc<Keyring>,
    /// Whether the source failed when it was asked last: what these keys do not verify may still be the tenant's.
    pub(crate) stale: bool,
}

/// What finding came to without waiting.
pub(crate) enum Found<'r> {
    Keys(TenantKeys),
    Waiting(Waiting<'r>),
}

/// One who waits for a look-up.
pub(crate) struct Waiting<'r> {
    registry: &'r Registry,
    name: Arc<str>,
    flight: Flight,
}

/// What a look-up needs of the layer.
pub(crate) struct Asking<'a> {
    pub(crate) authenticator: &'a Authenticator,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) observer: &'a Observer,
    /// How long it may take, where the source is allowed more.
    pub(crate) at_most: Duration,
}

impl Registry {
    /// The keys for a request, or the look-up that will tell.
    pub(crate) fn find(&self, request: &Parts, now: Instant) -> Result<Found<'_>, RejectionReason> {
        let Some(name) = self.key.find(request)? else { return Ok(Found::Keys(self.nobody())) };
        Ok(match self.cache().get(&name, now) {
            Cached::Keys { name, keyring, stale } => {
                Found::Keys(TenantKeys { tenant: Some(name), keyring, stale })
            }
            Cached::NoSuchTenant => Found::Keys(self.nobody()),
            Cached::Joined(name, flight) => Found::Waiting(Waiting { registry: self, name, flight }),
        })
    }

    fn nobody(&self) -> TenantKeys {
        TenantKeys { tenant: None, keyring: Arc::clone(&self.decoy), stale: false }
    }

    pub(super) fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, name: &str, asking: &Asking<'_>) -> Answer {
        let lookup = || async {
            let _permit = self.lookups.acquire().await;
            asking.observer.secret_lookup();
            self.source.ask(name).await
        };
        let problem: BoxError = match run(lookup, self.timeout.min(asking.at_most), || false).await {
            Ran::Finished(Ok(Some(secrets))) => match asking.authenticator.keyring(secrets) {
                Ok(keyring) => return Answer::Keys(Arc::new(keyring)),
                Err(error) => error.into(),
            },
            Ran::Finished(Ok(None)) => return Answer::NoSuchTenant,
            Ran::Finished(Err(error)) => error,
            Ran::Panicked => "the source panicked".into(),
            Ran::TimedOut | Ran::Stopped => "the source did not answer in time".into(),
        };
        asking.observer.secret_lookup_failed(name, &problem, asking.clock);
        Answer::Failed
    }
}

impl Waiting<'_> {
    /// Waits for the look-up. Whoever waits first runs it; where they go away, the next one begins anew. Where there is
    /// no room to wait, it is as if the source had failed.
    pub(crate) async fn keys(self, asking: Asking<'_>) -> Result<TenantKeys, RejectionReason> {
        let Self { registry, name, flight } = &self;
        let Ok(_room) = registry.waiting.try_acquire() else {
            return self.stale(asking.clock.monotonic());
        };
        let answer = flight
            .get_or_init(|| async {
                let answer = registry.ask(name, &asking).await;
                registry.cache().settle(name, flight, &answer, asking.clock.monotonic());
                answer
            })
            .await;
        match answer {
            Answer::Keys(keyring) => {
                Ok(TenantKeys { tenant: Some(Arc::clone(name)), keyring: Arc::clone(keyring), stale: false })
            }
            Answer::NoSuchTenant => Ok(registry.nobody()),
            Answer::Failed => self.stale(asking.clock.monotonic()),
        }
    }

    /// What is at hand where the source cannot tell.
    fn stale(&self, now: Instant) -> Result<TenantKeys, RejectionReason> {
        let Self { registry, name, .. } = self;
        let stale = registry.cache().stale(name, now);
        let keyring = stale.ok_or(RejectionReason::SecretsUnavailable)?;
        Ok(TenantKeys { tenant: Some(Arc::clone(name)), keyring, stale: true })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.registry.cache().leave(&self.name, &self.flight);
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenants")
            .field("key", &self.key)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
