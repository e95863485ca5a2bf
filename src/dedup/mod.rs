//! Step 4: claim an event, then complete or release it. See [`DedupStore`] for the protocol, and
//! [`docs::stores`](crate::docs::stores) for a store of your own.

mod lru;
#[cfg(feature = "redis")]
mod redis;
mod shared;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) mod sql;
mod warning;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

pub use self::lru::{LruStats, LruStore};
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
pub use self::shared::SharedStore;
#[cfg(feature = "postgres")]
pub use self::sql::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use self::sql::sqlite::SqliteStore;
pub use self::warning::StoreWarning;

use crate::error::BoxError;

/// The identity of an event in a store: SHA-256 over the length-prefixed scope, type and id.
///
/// Fixed in size whatever the sender put into the id, free of delimiter collisions, and safe to bind into
/// any query. It is not a secret.
///
/// ```
/// use tower_webhook::dedup::DedupKey;
///
/// assert_ne!(DedupKey::new("ab", "t", "c"), DedupKey::new("a", "t", "bc"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DedupKey([u8; 32]);

impl DedupKey {
    /// The key of the event `id` of `event_type` within `scope`.
    #[must_use]
    pub fn new(scope: &str, event_type: &str, id: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [scope, event_type, id] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// The key as bytes, for stores.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for DedupKey {
    /// Restores a key that was read back from a store.
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for DedupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&const_hex::encode(self.0))
    }
}

impl fmt::Debug for DedupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DedupKey({self})")
    }
}

/// What a caller asks to claim: the key, and what an operator wants to read beside it.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRequest<'a> {
    key: DedupKey,
    scope: &'a str,
    event_type: &'a str,
    id: &'a str,
    lease: Duration,
}

impl<'a> ClaimRequest<'a> {
    /// A claim on the event `id` of `event_type` within `scope`, to be held for `lease`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_webhook::dedup::{ClaimRequest, DedupKey};
    ///
    /// let request = ClaimRequest::new("caspay", "payment.completed", "evt_123", Duration::from_secs(30));
    /// assert_eq!(*request.key(), DedupKey::new("caspay", "payment.completed", "evt_123"));
    /// ```
    #[must_use]
    pub fn new(scope: &'a str, event_type: &'a str, id: &'a str, lease: Duration) -> Self {
        Self { key: DedupKey::new(scope, event_type, id), scope, event_type, id, lease }
    }

    /// The identity to claim.
    #[must_use]
    pub fn key(&self) -> &DedupKey {
        &self.key
    }

    /// The configured scope: the provider, and the endpoint's name where one was given.
    #[must_use]
    pub fn scope(&self) -> &'a str {
        self.scope
    }

    /// The event's type as the sender wrote it. Untrusted text of any length.
    #[must_use]
    pub fn event_type(&self) -> &'a str {
        self.event_type
    }

    /// The event's id as the sender wrote it. Untrusted text of any length; it may hold NUL.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// How long the claim is held before another delivery may take it over.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.lease
    }
}

/// Proof of a claim: the key and the fence that the store gave out with it.
///
/// A store increases the fence with every claim of a key, also after a release and after the event was forgotten,
/// so that a holder that lost its lease can be told from the one that took over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    key: DedupKey,
    fence: u64,
}

impl Lease {
    /// A lease on `key` with `fence`, for implementors of [`DedupStore`].
    #[must_use]
    pub fn new(key: DedupKey, fence: u64) -> Self {
        Self { key, fence }
    }

    /// The claimed key.
    #[must_use]
    pub fn key(&self) -> &DedupKey {
        &self.key
    }

    /// The fence of this claim.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.fence
    }
}

/// The answer to [`DedupStore::claim`].
#[expect(clippy::exhaustive_enums, reason = "every wrapper of a store must handle all three")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The caller, and nobody else, may run the handler until the lease ends.
    Acquired(Lease),
    /// Another delivery of this event is being handled.
    InFlight {
        /// What is left of its lease.
        retry_after: Duration,
    },
    /// The event's effect is durable. It must not run again.
    Done,
}

/// The answer to [`DedupStore::complete`].
#[expect(clippy::exhaustive_enums, reason = "every wrapper of a store must handle both")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The lease was held until now; the event is done.
    Completed,
    /// The event is done, but the lease had been lost, so that another delivery may have run the handler
    /// too.
    LeaseLost,
}

/// What a store is, so that start-up can warn where it does not fit.
///
/// ```
/// use tower_webhook::dedup::{DedupStore, LruStore, StoreInfo};
///
/// let info = LruStore::new(100_000).info();
/// assert_eq!(info, StoreInfo::new(false, false).with_capacity(100_000));
/// assert!(!info.durable() && !info.shared());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreInfo {
    durable: bool,
    shared: bool,
    capacity: Option<usize>,
}

impl StoreInfo {
    /// A store that survives a restart if `durable`, and is seen by every instance if `shared`.
    #[must_use]
    pub fn new(durable: bool, shared: bool) -> Self {
        Self { durable, shared, capacity: None }
    }

    /// Says that the store forgets its least recently seen marks beyond `capacity`.
    #[must_use]
    pub fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = Some(capacity);
        self
    }

    /// Whether done marks survive a restart.
    #[must_use]
    pub fn durable(&self) -> bool {
        self.durable
    }

    /// Whether several instances of a service see the same marks.
    #[must_use]
    pub fn shared(&self) -> bool {
        self.shared
    }

    /// How many done marks are kept, where there is a bound.
    #[must_use]
    pub fn capacity(&self) -> Option<usize> {
        self.capacity
    }
}

/// Remembers which events are being handled and which are done.
///
/// # Protocol
///
/// An event is absent, in flight or done. [`claim`](Self::claim) takes it from absent (or from an expired
/// lease) to in flight, [`complete`](Self::complete) to done, [`release`](Self::release) back to absent.
/// **Each transition is one atomic step**: one lock, one script, one statement. A store that reads and then
/// writes gives one event to two deliveries.
///
/// - Of any number of concurrent claims of one key, exactly one is [`Claim::Acquired`].
/// - A claim whose lease has ended may be taken over by the next one, with a larger fence.
/// - `release` acts only with the current fence: a holder that lost its lease cannot undo its successor's.
/// - `complete` always ends in done, since the work is done, and reports [`Completion::LeaseLost`] where
///   the fence is not the current one.
/// - Done is final until its retention ends or an operator calls [`forget`](Self::forget).
/// - Only durations are handed over: the store's own clock decides, so that instances may disagree about
///   the time.
///
/// The caller may be dropped between any two steps, for a sender hangs up when it likes. Nothing is
/// released on drop, so a claim must end by itself when its lease does.
///
/// Methods are async functions without a macro; an implementation writes plain `async fn`. The suite in
/// `testing::conformance` (feature `testing`) checks all of the above on any store.
/// [`docs::stores`](crate::docs::stores) writes one, and says what is easily got wrong.
pub trait DedupStore: Send + Sync + 'static {
    /// Atomically claims an event.
    ///
    /// # Errors
    ///
    /// Where the store cannot answer. The delivery is then answered 503, or run without deduplication
    /// where [`OnStoreFailure::Process`](crate::OnStoreFailure) was chosen.
    fn claim(&self, request: &ClaimRequest<'_>) -> impl Future<Output = Result<Claim, StoreError>> + Send;

    /// Marks the event of `lease` done, to be remembered for `retain` from now on, whatever looks at it.
    ///
    /// # Errors
    ///
    /// Where the store cannot answer. The caller answers 200 all the same and tries again in the
    /// background. A repetition of a completion whose answer was lost may report [`Completion::LeaseLost`].
    fn complete(
        &self,
        lease: &Lease,
        retain: Duration,
    ) -> impl Future<Output = Result<Completion, StoreError>> + Send;

    /// Gives the claim up, so that the next delivery runs at once. Without effect where the fence of
    /// `lease` is not the current one.
    ///
    /// # Errors
    ///
    /// Where the store cannot answer; the lease then runs out.
    fn release(&self, lease: &Lease) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Forgets that an event is done, so that a redelivery runs again: for operators. A claim in flight
    /// stays.
    ///
    /// # Errors
    ///
    /// Where the store cannot answer.
    fn forget(&self, key: &DedupKey) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What this store is.
    fn info(&self) -> StoreInfo;
}

impl<T: DedupStore> DedupStore for Arc<T> {
    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claim, StoreError> {
        (**self).claim(request).await
    }

    async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Completion, StoreError> {
        (**self).complete(lease, retain).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        (**self).release(lease).await
    }

    async fn forget(&self, key: &DedupKey) -> Result<(), StoreError> {
        (**self).forget(key).await
    }

    fn info(&self) -> StoreInfo {
        (**self).info()
    }
}

/// A store could not answer. Opaque; ask it questions.
///
/// ```
/// use std::error::Error;
/// use tower_webhook::dedup::StoreError;
///
/// let error = StoreError::unavailable(std::io::Error::other("connection refused"));
/// assert!(error.is_unavailable() && !error.is_timeout());
/// assert_eq!(error.source().unwrap().to_string(), "connection refused");
/// ```
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<BoxError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StoreErrorKind {
    Unavailable,
    Timeout,
    Full,
    Corrupt,
}

impl StoreError {
    /// The store cannot be reached, or refused the operation.
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self { kind: StoreErrorKind::Unavailable, source: Some(source.into()) }
    }

    /// The store did not answer in time.
    #[must_use]
    pub fn timeout() -> Self {
        Self { kind: StoreErrorKind::Timeout, source: None }
    }

    /// The store has no room for another claim in flight.
    #[must_use]
    pub fn full() -> Self {
        Self { kind: StoreErrorKind::Full, source: None }
    }

    /// The store holds something under the key that it did not write.
    pub fn corrupt(source: impl Into<BoxError>) -> Self {
        Self { kind: StoreErrorKind::Corrupt, source: Some(source.into()) }
    }

    /// Whether the store could not be reached.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.kind == StoreErrorKind::Unavailable
    }

    /// Whether the store was too slow.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.kind == StoreErrorKind::Timeout
    }

    /// Whether the store has no room for another claim.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.kind == StoreErrorKind::Full
    }

    /// Whether the store held something unreadable.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        self.kind == StoreErrorKind::Corrupt
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Unavailable => "the deduplication store is unavailable",
            StoreErrorKind::Timeout => "the deduplication store did not answer in time",
            StoreErrorKind::Full => "the deduplication store has no room for another claim in flight",
            StoreErrorKind::Corrupt => "the deduplication store holds an unreadable entry",
        })
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_digest_of_length_prefixed_parts() {
        // sha256 of 0000000000000002 "ab" 0000000000000001 "t" 0000000000000001 "c"
        let key = DedupKey::new("ab", "t", "c");
        let expected = "1564915111172416770bf4154b900b4dc286a3a42a30de9b9cc8610d9f6f09f4";
        assert_eq!(key.to_string(), expected);
        assert_eq!(format!("{key:?}"), format!("DedupKey({expected})"));
        assert_eq!(DedupKey::from(*key.as_bytes()), key);
        for other in [("a", "t", "bc"), ("ab", "c", "t"), ("a", "bt", "c"), ("ab", "tc", "")] {
            assert_ne!(DedupKey::new(other.0, other.1, other.2), key, "{other:?}");
        }
    }

    #[test]
    fn a_request_shows_operators_what_it_claims() {
        let request = ClaimRequest::new("caspay", "payment.completed", "evt_1", Duration::from_secs(30));
        assert_eq!((request.scope(), request.event_type()), ("caspay", "payment.completed"));
        assert_eq!((request.id(), request.lease()), ("evt_1", Duration::from_secs(30)));
        assert_eq!(*request.key(), DedupKey::new("caspay", "payment.completed", "evt_1"));
        let lease = Lease::new(*request.key(), 7);
        assert_eq!((lease.key(), lease.fence()), (request.key(), 7));
    }

    #[test]
    fn a_store_says_what_it_is() {
        let said = |info: StoreInfo| (info.durable(), info.shared(), info.capacity());
        assert_eq!(said(StoreInfo::new(true, false)), (true, false, None));
        assert_eq!(said(StoreInfo::new(false, true).with_capacity(7)), (false, true, Some(7)));
    }

    #[test]
    fn errors_answer_questions() {
        let asked = |error: StoreError| {
            [error.is_unavailable(), error.is_timeout(), error.is_full(), error.is_corrupt()]
        };
        assert_eq!(asked(StoreError::unavailable("x")), [true, false, false, false]);
        assert_eq!(asked(StoreError::timeout()), [false, true, false, false]);
        assert_eq!(asked(StoreError::full()), [false, false, true, false]);
        assert_eq!(asked(StoreError::corrupt("x")), [false, false, false, true]);
        let error = StoreError::corrupt("no state");
        assert_eq!(error.to_string(), "the deduplication store holds an unreadable entry");
        assert_eq!(std::error::Error::source(&error).map(ToString::to_string).as_deref(), Some("no state"));
        assert!(std::error::Error::source(&StoreError::timeout()).is_none());
    }

    #[tokio::test]
    async fn a_shared_store_is_the_store() {
        let store = Arc::new(LruStore::new(10));
        let request = ClaimRequest::new("s", "t", "a", Duration::from_secs(30));
        let claim = async || DedupStore::claim(&store, &request).await.map_err(|error| error.to_string());
        let Ok(Claim::Acquired(lease)) = claim().await else { panic!("not acquired") };
        assert!(matches!(claim().await, Ok(Claim::InFlight { .. })));
        assert!(DedupStore::release(&store, &lease).await.is_ok());
        let Ok(Claim::Acquired(lease)) = claim().await else { panic!("not released") };
        let completed = DedupStore::complete(&store, &lease, Duration::from_secs(60)).await;
        assert!(matches!(completed, Ok(Completion::Completed)));
        assert_eq!(claim().await, Ok(Claim::Done));
        assert!(DedupStore::forget(&store, request.key()).await.is_ok());
        assert!(matches!(claim().await, Ok(Claim::Acquired(_))));
        assert_eq!(DedupStore::info(&store), StoreInfo::new(false, false).with_capacity(10));
    }
}
