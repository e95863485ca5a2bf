//! A store chosen at run time: [`SharedStore`].

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{Claim, ClaimRequest, Completion, DedupKey, DedupStore, Lease, StoreError, StoreInfo};

/// Any [`DedupStore`] behind one type, for a program that learns from its configuration which one to take.
///
/// A store is usually a type parameter of the [`WebhookLayer`](crate::WebhookLayer), and costs nothing beside what
/// it does. Where the type must not depend on the choice, this one stands for all: an operation then costs an
/// allocation for its future and a call through a pointer, little beside a lock and nothing beside a round trip.
///
/// It answers as the store it was made from does, [`info`](DedupStore::info) included, so that start-up warns of the
/// same things. Clones share that store: a clone is a handle to keep, or to hand to the next layer. A `SharedStore`
/// of a `SharedStore` is that one's clone, and not wrapped twice.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sqlx::SqlitePool;
/// use tower_webhook::dedup::{Claim, ClaimRequest, DedupStore, RedisStore, SharedStore, SqliteStore};
/// use tower_webhook::{BoxError, LruStore, Secret, WebhookLayer, caspay};
///
/// /// `memory:<events>`, `sqlite:<path>` or `redis://<host>/`.
/// async fn store(setting: &str) -> Result<SharedStore, BoxError> {
///     Ok(match setting.split_once(':') {
///         Some(("memory", events)) => SharedStore::new(LruStore::new(events.parse()?)),
///         Some(("sqlite", path)) => {
///             let store = SqliteStore::new(SqlitePool::connect_with(SqliteStore::options(path)).await?);
///             store.migrate().await?;
///             SharedStore::new(store)
///         }
///         Some(("redis", _)) => {
///             let client = redis::Client::open(setting)?;
///             SharedStore::new(RedisStore::new(client.get_connection_manager().await?))
///         }
///         _ => return Err(format!("no such store: {setting}").into()),
///     })
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("shop.db");
/// let memory = store("memory:1209600").await?; // two events a second for 7 days
/// assert_eq!((memory.info().durable(), memory.info().capacity()), (false, Some(1_209_600)));
///
/// let file = store(&format!("sqlite:{}", path.display())).await?;
/// assert_eq!((file.info().durable(), file.info().capacity()), (true, None));
///
/// let request = ClaimRequest::new("caspay", "payment.completed", "evt_123", Duration::from_secs(30));
/// for store in [&memory, &file] {
///     assert!(matches!(store.claim(&request).await?, Claim::Acquired(_)));
///     assert!(matches!(store.claim(&request).await?, Claim::InFlight { .. }));
/// }
/// assert!(store("memory:many").await.is_err() && store("disk:/").await.is_err());
///
/// // One type, whatever the setting said.
/// let layer: WebhookLayer<_, SharedStore> =
///     WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret")?)?.with_store(file);
/// # drop(layer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SharedStore {
    store: Arc<dyn ErasedStore>,
}

impl SharedStore {
    /// `store` behind this type. Keep what only its own type offers, such as
    /// [`LruStore::stats`](crate::LruStore), by handing over an `Arc` of it.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tower_webhook::dedup::{DedupStore, LruStore, SharedStore};
    ///
    /// let lru = Arc::new(LruStore::new(1_000));
    /// let store = SharedStore::new(Arc::clone(&lru));
    /// assert_eq!(store.info(), lru.info());
    /// assert_eq!(lru.stats().in_flight(), 0);
    /// ```
    #[must_use]
    pub fn new(store: impl DedupStore) -> Self {
        match (&store as &dyn Any).downcast_ref::<Self>() {
            Some(shared) => shared.clone(),
            None => Self { store: Arc::new(store) },
        }
    }
}

impl DedupStore for SharedStore {
    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claim, StoreError> {
        self.store.claim_boxed(request).await
    }

    async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Completion, StoreError> {
        self.store.complete_boxed(lease, retain).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.store.release_boxed(lease).await
    }

    async fn forget(&self, key: &DedupKey) -> Result<(), StoreError> {
        self.store.forget_boxed(key).await
    }

    fn info(&self) -> StoreInfo {
        self.store.information()
    }
}

/// Names the type of the store within, and shows nothing of it: a store may hold an address with a password.
impl fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedStore").field(&format_args!("{}", self.store.type_name())).finish()
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// [`DedupStore`] as an object. Its names are others, or the two traits would vie for every call.
trait ErasedStore: Send + Sync {
    fn claim_boxed<'a>(&'a self, request: &'a ClaimRequest<'_>) -> Answer<'a, Claim>;
    fn complete_boxed<'a>(&'a self, lease: &'a Lease, retain: Duration) -> Answer<'a, Completion>;
    fn release_boxed<'a>(&'a self, lease: &'a Lease) -> Answer<'a, ()>;
    fn forget_boxed<'a>(&'a self, key: &'a DedupKey) -> Answer<'a, ()>;
    fn information(&self) -> StoreInfo;
    fn type_name(&self) -> &'static str;
}

impl<St: DedupStore> ErasedStore for St {
    fn claim_boxed<'a>(&'a self, request: &'a ClaimRequest<'_>) -> Answer<'a, Claim> {
        Box::pin(DedupStore::claim(self, request))
    }

    fn complete_boxed<'a>(&'a self, lease: &'a Lease, retain: Duration) -> Answer<'a, Completion> {
        Box::pin(DedupStore::complete(self, lease, retain))
    }

    fn release_boxed<'a>(&'a self, lease: &'a Lease) -> Answer<'a, ()> {
        Box::pin(DedupStore::release(self, lease))
    }

    fn forget_boxed<'a>(&'a self, key: &'a DedupKey) -> Answer<'a, ()> {
        Box::pin(DedupStore::forget(self, key))
    }

    fn information(&self) -> StoreInfo {
        DedupStore::info(self)
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<St>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::LruStore;

    const LEASE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn every_operation_reaches_the_store_within() {
        let lru = Arc::new(LruStore::new(10));
        let store = SharedStore::new(Arc::clone(&lru));
        let request = ClaimRequest::new("scope", "type", "a", LEASE);
        let acquire = async || match store.claim(&request).await {
            Ok(Claim::Acquired(lease)) => lease,
            other => panic!("expected an acquired claim, found {other:?}"),
        };
        let held = || (lru.stats().in_flight(), lru.stats().done());

        let first = acquire().await;
        assert_eq!(held(), (1, 0));
        store.release(&first).await.unwrap();
        assert_eq!(held(), (0, 0));
        let second = acquire().await;
        assert!(second.fence() > first.fence());
        assert_eq!(store.complete(&first, LEASE).await.unwrap(), Completion::LeaseLost);
        assert_eq!(held(), (0, 1));
        assert_eq!(store.claim(&request).await.unwrap(), Claim::Done);
        store.forget(request.key()).await.unwrap();
        assert_eq!(held(), (0, 0));
    }

    #[test]
    fn clones_and_stores_of_stores_are_one_object() {
        let store = SharedStore::new(LruStore::new(7));
        for other in [store.clone(), SharedStore::new(store.clone())] {
            assert!(Arc::ptr_eq(&store.store, &other.store));
        }
        assert!(!Arc::ptr_eq(&store.store, &SharedStore::new(LruStore::new(7)).store));
    }

    #[test]
    fn says_what_the_store_within_is() {
        let store = SharedStore::new(LruStore::new(7));
        assert_eq!(DedupStore::info(&store), StoreInfo::new(false, false).with_capacity(7));
        assert_eq!(format!("{store:?}"), "SharedStore(tower_webhook::dedup::lru::LruStore)");
    }
}
