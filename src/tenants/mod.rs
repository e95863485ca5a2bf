//! Secrets for each tenant: who a request says it is from, and the keys of whom it says.

mod cache;
mod key;
mod lookup;
mod source;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;

use self::cache::Cache;
pub use self::key::TenantKey;
pub(crate) use self::lookup::{Asking, Found, Registry, TenantKeys};
use self::source::ErasedSource;
pub use self::source::SecretSource;
use crate::error::ConfigError;
use crate::signature::Authenticator;

/// Five megabytes of keys at the most.
const DEFAULT_CAPACITY: usize = 10_000;

/// How long a secret that was taken out of the source may still be accepted, unless somebody says so before.
const DEFAULT_EXPIRY: Duration = Duration::from_secs(5 * 60);

/// As long as most outages of a vault, and shorter than the patience of every sender that retries.
const DEFAULT_GRACE: Duration = Duration::from_secs(60 * 60);

/// As patient as the layer is with its store.
const DEFAULT_LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// What a pool of connections that has other work, too, can spare.
const DEFAULT_MAX_LOOKUPS: usize = 16;

/// How many requests wait for a look-up, theirs or one of others: two seconds' worth of a source that takes 125 ms.
/// They hold a head each and no body. Apart from the unverified bodies, so that a flood of made-up names keeps nobody
/// out whose keys are at hand.
const MAX_WAITING: usize = 256;

/// Longer durations than this are as good as this: an `Instant` cannot hold every sum.
const FAR: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Tenants, each with secrets of its own, behind one layer: where a request names its tenant, and where the tenant's
/// secrets come from. Given to [`WebhookLayer::for_tenants`](crate::WebhookLayer::for_tenants), which has an example.
///
/// The keys of a tenant are kept for a while, so that a delivery seldom waits for the source. What is kept is the keyed
/// hash state; the secret's text is wiped as soon as that is computed.
///
/// - Requests that need the same look-up share one.
/// - A tenant whom the source does not know is remembered for 30 s at the most, apart from the others: a flood of made-up
///   names neither evicts a tenant nor, with the bound on [look-ups](Self::with_max_lookups), runs the source over.
/// - At most 256 requests wait for look-ups, their bodies unread; beyond that it is as if the source had failed. They take
///   none of the [places](crate::WebhookLayer::with_max_unverified_in_flight) of tenants whose keys are at hand.
/// - Where a look-up fails or what it found is no key of the provider, keys that expired a short while ago are used for
///   the [grace](Self::with_grace), and the source is asked again after 5 s. Without such keys the answer is 503; so it
///   is for what they do not verify, which may be signed with a key that the tenant has been given since.
///
/// Durations of the cache follow the layer's [clock](crate::WebhookLayer::with_clock), the timeout follows tokio's.
#[must_use]
pub struct Tenants {
    key: TenantKey,
    source: Box<dyn ErasedSource>,
    capacity: usize,
    expiry: Duration,
    grace: Duration,
    lookup_timeout: Duration,
    max_lookups: usize,
}

impl Tenants {
    /// Tenants that requests name at `key`, and whose secrets `source` knows. Hand it an `Arc` to keep a handle.
    pub fn new(key: TenantKey, source: impl SecretSource) -> Self {
        Self {
            key,
            source: Box::new(source),
            capacity: DEFAULT_CAPACITY,
            expiry: DEFAULT_EXPIRY,
            grace: DEFAULT_GRACE,
            lookup_timeout: DEFAULT_LOOKUP_TIMEOUT,
            max_lookups: DEFAULT_MAX_LOOKUPS,
        }
    }

    /// The keys of how many tenants are kept, and as many names that are nobody's. Beyond that the one goes that has not
    /// been used for longest, and is looked up again. Default: 10,000, some 5 MB; set it to the number of tenants who
    /// are active within the expiry. At least 1.
    pub fn with_capacity(mut self, tenants: usize) -> Self {
        self.capacity = tenants;
        self
    }

    /// For how long keys are used before the source is asked again: how late a change is noticed that nobody
    /// [announces](TenantCache::forget). Default: 5 min, in which a busy tenant costs one look-up, and after which a
    /// secret that was taken out is worth nothing. Zero asks for every delivery.
    pub fn with_expiry(mut self, expiry: Duration) -> Self {
        self.expiry = expiry;
        self
    }

    /// For how long after their expiry keys may be used while the source fails. Until then a secret may be accepted that
    /// has been taken out of it, which [`forget`](TenantCache::forget) puts an end to. Default: 1 h, in which a vault
    /// comes back, and nobody is turned away meanwhile. With zero an outage of the source is one of the webhooks.
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long a look-up may take, the wait for its turn included. Default: 2 s, as for the deduplication store. Never
    /// more than half of [`respond_by`](crate::Timing::respond_by), so that there is time to use what is at hand. More
    /// than zero.
    pub fn with_lookup_timeout(mut self, timeout: Duration) -> Self {
        self.lookup_timeout = timeout;
        self
    }

    /// How many look-ups are under way at once; the others wait, 256 requests at the most. Names are made up easily, so
    /// that this is what bounds the load that strangers can put on the source. Default: 16, which a pool of connections
    /// can spare. At least 1.
    pub fn with_max_lookups(mut self, lookups: usize) -> Self {
        self.max_lookups = lookups;
        self
    }

    pub(crate) fn resolve(self, authenticator: &Authenticator) -> Result<Registry, ConfigError> {
        let at_least_one =
            |setting, zero| if zero { Err(ConfigError::ZeroLimit { setting }) } else { Ok(()) };
        at_least_one("capacity", self.capacity == 0)?;
        at_least_one("lookup_timeout", self.lookup_timeout.is_zero())?;
        at_least_one("max_lookups", self.max_lookups == 0)?;
        Ok(Registry {
            key: self.key,
            source: self.source,
            timeout: self.lookup_timeout,
            lookups: Semaphore::new(self.max_lookups.min(Semaphore::MAX_PERMITS)),
            waiting: Semaphore::new(MAX_WAITING),
            decoy: Arc::new(authenticator.decoy()?),
            cache: Mutex::new(Cache::new(self.capacity, self.expiry.min(FAR), self.grace.min(FAR))),
        })
    }
}

impl fmt::Debug for Tenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenants")
            .field("key", &self.key)
            .field("capacity", &self.capacity)
            .field("expiry", &self.expiry)
            .field("grace", &self.grace)
            .field("lookup_timeout", &self.lookup_timeout)
            .field("max_lookups", &self.max_lookups)
            .finish_non_exhaustive()
    }
}

/// The keys of tenants that a layer has at hand. From [`WebhookLayer::tenants`](crate::WebhookLayer::tenants); it tells
/// the layer that secrets have changed, so that the change takes effect at once.
///
/// It speaks of this process: where several receive, tell each of them, or wait for the expiry.
#[derive(Clone)]
pub struct TenantCache {
    registry: Arc<Registry>,
}

impl TenantCache {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    /// Asks the source with the next request of this tenant. Should it fail, the keys at hand are used within the
    /// [grace](Tenants::with_grace): for a rotation, where the old secret is still good, and for a tenant who has just
    /// been created. What they do not verify is answered 503 until the source has told.
    pub fn refresh(&self, tenant: &str) {
        self.registry.cache().refresh(tenant);
    }

    /// Drops the keys of this tenant: for a secret that must not be accepted any more, whatever the source's state.
    /// Requests whose look-up or verification has begun are still finished by what they began with.
    pub fn forget(&self, tenant: &str) {
        self.registry.cache().forget(tenant);
    }

    /// Drops the keys of all tenants.
    pub fn forget_all(&self) {
        self.registry.cache().forget_all();
    }
}

impl fmt::Debug for TenantCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.registry.fmt(f)
    }
}
