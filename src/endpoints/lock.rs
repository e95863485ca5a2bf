//! One instance at a time: what keeps several that start together from creating several endpoints.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::dedup::{Claim, ClaimRequest, DedupStore, Lease, StoreError};
use crate::error::BoxError;

/// A lock that all instances of a service share. [`StoreLock`] is one, in a store that they share anyway; an advisory
/// lock of a database or a lease of an orchestrator is for you to write.
pub trait EndpointLock: Send + Sync + 'static {
    /// Proof that the lock is held.
    type Held: Send + 'static;

    /// Waits until the lock called `name` is free, and takes it. After `hold` it may pass to somebody else, should the
    /// holder have died.
    fn acquire(
        &self,
        name: &str,
        hold: Duration,
    ) -> impl Future<Output = Result<Self::Held, BoxError>> + Send;

    /// Gives it back. What fails here is not reported: the lock becomes free after `hold`.
    fn release(&self, held: Self::Held) -> impl Future<Output = ()> + Send;
}

/// No lock: for a service of one instance, and for a program that is run by hand.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit: there is nothing to add")]
pub struct NoLock;

impl EndpointLock for NoLock {
    type Held = ();

    async fn acquire(&self, _: &str, _: Duration) -> Result<(), BoxError> {
        Ok(())
    }

    async fn release(&self, (): ()) {}
}

/// A lock in a [`DedupStore`]: a claim that is released and never completed. With a store that the instances share
/// ([`StoreInfo::shared`](crate::dedup::StoreInfo::shared)) it holds among them all; in an
/// [`LruStore`](crate::LruStore) it holds within this process.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::LruStore;
/// use tower_webhook::endpoints::{EndpointLock as _, StoreLock};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_webhook::BoxError> {
/// let lock = StoreLock::new(LruStore::new(1_000)).with_patience(Duration::ZERO);
/// let held = lock.acquire("endpoint", Duration::from_secs(60)).await?;
/// assert!(lock.acquire("endpoint", Duration::from_secs(60)).await.is_err());
/// lock.release(held).await;
/// assert!(lock.acquire("endpoint", Duration::from_secs(60)).await.is_ok());
/// # Ok(())
/// # }
/// ```
pub struct StoreLock<St> {
    store: St,
    patience: Option<Duration>,
}

/// No provider's name, and so nobody's scope.
const SCOPE: &str = "#endpoints";

/// For how long the store may take over one answer.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for a lock that somebody holds, where the store would have one wait longer.
const POLL: Duration = Duration::from_millis(500);

/// By how much the default patience outlasts the lock of somebody who took it at the same moment and died.
const LATER: Duration = Duration::from_secs(30);

impl<St: DedupStore> StoreLock<St> {
    /// A lock in `store`, which may be the one that events are claimed in.
    pub fn new(store: St) -> Self {
        Self { store, patience: None }
    }

    /// How long to wait for the lock. Default: a little longer than this instance would hold it, after which the lock of
    /// one that was killed is free again. So let all have the same
    /// [lead](super::EndpointManager::with_announcement_lead) and the same [deadline](super::ClientOptions::with_deadline),
    /// or say here what the longest of them takes.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }
}

impl<St: DedupStore> EndpointLock for StoreLock<St> {
    type Held = Lease;

    async fn acquire(&self, name: &str, hold: Duration) -> Result<Lease, BoxError> {
        let begun = Instant::now();
        let patience = self.patience.unwrap_or_else(|| hold.saturating_add(LATER));
        loop {
            let request = ClaimRequest::new(SCOPE, "lock", name, hold);
            let claim = timeout(STORE_TIMEOUT, self.store.claim(&request)).await;
            let failure: BoxError = match claim.unwrap_or_else(|_| Err(StoreError::timeout())) {
                Ok(Claim::Acquired(lease)) => return Ok(lease),
                Ok(Claim::InFlight { retry_after }) => {
                    let pause = retry_after.clamp(Duration::from_millis(20), POLL);
                    if begun.elapsed() + pause <= patience {
                        sleep(pause).await;
                        continue;
                    }
                    "another instance holds the lock".into()
                }
                // Nobody completes a lock, unless by hand.
                Ok(Claim::Done) => "the lock is marked as done: `forget` it".into(),
                Err(error) => Box::<StoreError>::new(error),
            };
            return Err(failure);
        }
    }

    async fn release(&self, lease: Lease) {
        // Else it runs out.
        _ = timeout(STORE_TIMEOUT, self.store.release(&lease)).await;
    }
}

impl<St> fmt::Debug for StoreLock<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreLock").field("patience", &self.patience).finish_non_exhaustive()
    }
}
