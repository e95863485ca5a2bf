//! The default store: marks in the memory of one process. [`LruStore`] locks and counts, `shard` decides, `key`
//! spreads, `sync` locks.

mod key;
mod shard;
mod sync;

use std::fmt;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use self::key::KeyHasher;
use self::shard::Shard;
use self::sync::{AtomicU64, Mutex, MutexGuard};
use super::{Claim, ClaimRequest, Completion, DedupKey, DedupStore, Lease, StoreError, StoreInfo};
use crate::clock::{Clock, SystemClock};

/// Deduplicates in the memory of one process: bounded, and without anything to install.
///
/// When it is full it forgets the event it has not seen for longest. Being looked up counts as being seen.
///
/// # What it protects
///
/// One instance, until it restarts. A second instance of your service has its own marks, so that a
/// redelivery that reaches it runs again, and so does one that arrives after a deploy. Where that must not
/// happen, take a store that is [`durable`](StoreInfo::durable) and [`shared`](StoreInfo::shared), or make
/// the handler's effect idempotent.
///
/// # Sizing
///
/// Choose `capacity >= events per second * retention in seconds`: 1 event a second over 7 days is 604,800.
/// The capacity is a guaranteed minimum: the last `capacity` events are always recognised, and a few percent
/// more may be. A done mark costs about 84 bytes of heap (`benches/dedup_memory.rs`), so a million of them
/// 84 MB. Memory is taken as marks arrive; nothing is allocated ahead, whatever the capacity.
///
/// A store that is too small shows: [`evicted_young`](Self::evicted_young) counts the marks that had to go
/// before their retention ended, and [`LruStats::oldest_mark_age`] says how far back it can still see.
///
/// Claims in flight live apart from the marks and are never evicted, whatever arrives. There may be as many
/// of them as marks; beyond that a claim fails with [`StoreError::is_full`], and the sender is asked to come
/// back.
///
/// # Time
///
/// Leases end exactly. The end of a mark's retention is rounded up to the next whole second since the store
/// was made, so that a mark never ends early and may live up to a second longer, a sub-second retention
/// included. The end is fixed when the event completes; redeliveries do not move it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::dedup::{Claim, ClaimRequest, DedupStore, LruStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_webhook::dedup::StoreError> {
/// let store = LruStore::new(100_000);
/// let request = ClaimRequest::new("caspay", "payment.completed", "evt_123", Duration::from_secs(30));
///
/// let Claim::Acquired(lease) = store.claim(&request).await? else { panic!("a new event") };
/// assert!(matches!(store.claim(&request).await?, Claim::InFlight { .. }));
///
/// store.complete(&lease, Duration::from_secs(7 * 24 * 60 * 60)).await?;
/// assert_eq!(store.claim(&request).await?, Claim::Done);
/// # Ok(()) }
/// ```
///
/// To read its numbers while a layer uses it, hand the layer an `Arc` of it.
pub struct LruStore {
    shards: Box<[Lane]>,
    hasher: KeyHasher,
    capacity: usize,
    /// Kept beside the shards, so that a metrics layer can poll it without a lock.
    evicted_young: AtomicU64,
    clock: Box<dyn Clock>,
    origin: Instant,
}

/// One shard behind its lock. Aligned to two cache lines, since processors fetch them in pairs: the lock of
/// one shard must not slow the next one's down.
#[repr(align(128))]
struct Lane(Mutex<Shard>);

impl Lane {
    fn lock(&self) -> MutexGuard<'_, Shard> {
        // A shard runs no foreign code and leaves no step half done, so that a poisoned one is sound.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LruStore {
    /// A store that remembers at least the last `capacity` events. A capacity of 0 counts as 1.
    ///
    /// ```
    /// use tower_webhook::dedup::{DedupStore, LruStore};
    ///
    /// assert_eq!(LruStore::new(100_000).info().capacity(), Some(100_000));
    /// ```
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self::with_clock(capacity, SystemClock)
    }

    /// The same, with leases and retention measured by `clock`'s monotonic time.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_webhook::dedup::{Claim, ClaimRequest, DedupStore, LruStore};
    /// use tower_webhook::testing::ManualClock;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower_webhook::dedup::StoreError> {
    /// let clock = ManualClock::at_unix(1_700_000_000);
    /// let store = LruStore::with_clock(1_000, clock.clone());
    /// let request = ClaimRequest::new("caspay", "payment.completed", "evt_123", Duration::from_secs(30));
    ///
    /// assert!(matches!(store.claim(&request).await?, Claim::Acquired(_)));
    /// clock.advance(Duration::from_secs(29));
    /// assert_eq!(store.claim(&request).await?, Claim::InFlight { retry_after: Duration::from_secs(1) });
    /// clock.advance(Duration::from_secs(1));
    /// assert!(matches!(store.claim(&request).await?, Claim::Acquired(_)));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_clock(capacity: usize, clock: impl Clock) -> Self {
        let capacity = capacity.max(1);
        let (count, limit) = shard::plan(capacity);
        let hasher = KeyHasher::random();
        Self {
            shards: (0..count).map(|_| Lane(Mutex::new(Shard::new(limit, hasher)))).collect(),
            hasher,
            capacity,
            evicted_young: AtomicU64::new(0),
            origin: clock.monotonic(),
            clock: Box::new(clock),
        }
    }

    /// How many marks were evicted before their retention ended: each is an event that would run again.
    /// One atomic load, for polling.
    #[must_use]
    pub fn evicted_young(&self) -> u64 {
        self.evicted_young.load(Ordering::Relaxed)
    }

    /// The store's numbers. Takes each shard's lock in turn, so that under load they are of slightly
    /// different moments.
    ///
    /// ```
    /// use tower_webhook::dedup::LruStore;
    ///
    /// let stats = LruStore::new(100_000).stats();
    /// assert_eq!((stats.done(), stats.in_flight(), stats.evicted_young()), (0, 0, 0));
    /// assert_eq!(stats.oldest_mark_age(), None);
    /// ```
    #[must_use]
    pub fn stats(&self) -> LruStats {
        let now = self.now();
        let mut stats = LruStats { evicted_young: self.evicted_young(), ..LruStats::default() };
        for lane in &self.shards {
            let shard = lane.lock();
            stats.done += shard.done();
            stats.in_flight += shard.in_flight();
            stats.taken_over += shard.taken_over();
            stats.abandoned += shard.abandoned();
            stats.oldest_mark_age = stats.oldest_mark_age.max(shard.oldest_mark_age(now));
        }
        stats
    }

    fn shard(&self, key: &DedupKey) -> MutexGuard<'_, Shard> {
        self.shards[self.hasher.shard(key, self.shards.len())].lock()
    }

    /// The shard of `key`, and the time, which is read under the lock: while a thread waited for it, another may have
    /// written what is newer than a reading from before.
    fn shard_now(&self, key: &DedupKey) -> (MutexGuard<'_, Shard>, Duration) {
        let shard = self.shard(key);
        (shard, self.now())
    }

    /// The time since the store was made: the one reading of the clock in an operation.
    fn now(&self) -> Duration {
        self.clock.monotonic().saturating_duration_since(self.origin)
    }
}

impl DedupStore for LruStore {
    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claim, StoreError> {
        let (mut shard, now) = self.shard_now(request.key());
        shard.claim(request.key(), request.lease(), now)
    }

    async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Completion, StoreError> {
        let (completion, evicted_young) = {
            let (mut shard, now) = self.shard_now(lease.key());
            shard.complete(lease, retain, now)
        };
        if evicted_young {
            self.evicted_young.fetch_add(1, Ordering::Relaxed);
            #[cfg(feature = "metrics")]
            metrics::counter!("webhook_dedup_evicted_young_total").increment(1);
        }
        Ok(completion)
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.shard(lease.key()).release(lease);
        Ok(())
    }

    async fn forget(&self, key: &DedupKey) -> Result<(), StoreError> {
        self.shard(key).forget(key);
        Ok(())
    }

    fn info(&self) -> StoreInfo {
        StoreInfo::new(false, false).with_capacity(self.capacity)
    }
}

impl fmt::Debug for LruStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LruStore").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

/// What [`LruStore::stats`] read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LruStats {
    done: usize,
    in_flight: usize,
    evicted_young: u64,
    taken_over: u64,
    abandoned: u64,
    oldest_mark_age: Option<Duration>,
}

impl LruStats {
    /// Done marks held, those included whose retention has ended but which nobody met yet.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Claims in flight, those included whose lease has ended but which nobody met yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Marks evicted before their retention ended. Anything but 0 says that the capacity is too small.
    #[must_use]
    pub fn evicted_young(&self) -> u64 {
        self.evicted_young
    }

    /// Claims that another delivery took over after their lease had ended.
    #[must_use]
    pub fn taken_over(&self) -> u64 {
        self.taken_over
    }

    /// Claims whose lease had ended and that were collected before anybody asked for their event again.
    #[must_use]
    pub fn abandoned(&self) -> u64 {
        self.abandoned
    }

    /// How long ago the mark completed that is next to be evicted, to the second; across shards the largest.
    /// In a full store this is how far back it can see.
    #[must_use]
    pub fn oldest_mark_age(&self) -> Option<Duration> {
        self.oldest_mark_age
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::manual::ManualClock;

    const LEASE: Duration = Duration::from_secs(30);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn request(id: &str) -> ClaimRequest<'_> {
        ClaimRequest::new("scope", "type", id, LEASE)
    }

    async fn acquire(store: &LruStore, id: &str) -> Lease {
        match store.claim(&request(id)).await {
            Ok(Claim::Acquired(lease)) => lease,
            other => panic!("expected an acquired claim, found {other:?}"),
        }
    }

    async fn finish(store: &LruStore, id: &str) {
        let lease = acquire(store, id).await;
        assert_eq!(store.complete(&lease, DAY).await.unwrap(), Completion::Completed);
    }

    #[test]
    fn says_what_it_is() {
        let info = LruStore::new(7).info();
        assert_eq!(info, StoreInfo::new(false, false).with_capacity(7));
        assert_eq!(LruStore::new(0).info().capacity(), Some(1));
        assert_eq!(format!("{:?}", LruStore::new(7)), "LruStore { capacity: 7, .. }");
    }

    #[tokio::test]
    async fn a_capacity_of_zero_still_remembers_one_event() {
        let store = LruStore::new(0);
        finish(&store, "a").await;
        assert_eq!(store.claim(&request("a")).await.unwrap(), Claim::Done);
    }

    #[test]
    fn shards_are_lock_neighbours_only_from_4096_on() {
        assert_eq!(LruStore::new(4_095).shards.len(), 1);
        assert_eq!(LruStore::new(4_096).shards.len(), 16);
        assert_eq!(align_of::<Lane>(), 128);
    }

    #[tokio::test]
    async fn stats_add_the_shards_up() {
        let clock = ManualClock::at_unix(1_700_000_000);
        let store = LruStore::with_clock(4_096, clock.clone());
        assert_eq!(store.stats(), LruStats::default());

        for n in 0..100 {
            finish(&store, &format!("done {n}")).await;
        }
        clock.advance(Duration::from_secs(10));
        for n in 0..40 {
            acquire(&store, &format!("held {n}")).await;
        }
        let stats = store.stats();
        assert_eq!((stats.done(), stats.in_flight()), (100, 40));
        assert_eq!((stats.taken_over(), stats.abandoned(), stats.evicted_young()), (0, 0, 0));
        assert_eq!(stats.oldest_mark_age(), Some(Duration::from_secs(10)));

        clock.advance(LEASE);
        for n in 0..10 {
            acquire(&store, &format!("held {n}")).await;
        }
        assert_eq!(store.stats().taken_over(), 10);
        for n in 0..400 {
            acquire(&store, &format!("new {n}")).await;
        }
        let stats = store.stats();
        assert_eq!((stats.abandoned(), stats.in_flight()), (30, 410));
        assert_eq!(stats.oldest_mark_age(), Some(Duration::from_secs(40)));
    }

    #[tokio::test]
    async fn evictions_are_counted_one_by_one() {
        let store = LruStore::new(2);
        for (n, evicted) in [0, 0, 1, 2].into_iter().enumerate() {
            finish(&store, &n.to_string()).await;
            assert_eq!((store.evicted_young(), store.stats().evicted_young()), (evicted, evicted));
        }
        assert_eq!(store.stats().done(), 2);
    }

    #[tokio::test]
    async fn release_and_forget_reach_the_shard_of_their_key() {
        let store = LruStore::new(4_096);
        for n in 0..100 {
            let id = n.to_string();
            let lease = acquire(&store, &id).await;
            store.release(&lease).await.unwrap();
            finish(&store, &id).await;
            store.forget(lease.key()).await.unwrap();
            acquire(&store, &id).await;
        }
    }

    #[tokio::test]
    async fn a_poisoned_lock_is_taken_all_the_same() {
        let store = LruStore::new(10);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _shard = store.shards[0].lock();
            panic!("while a shard is locked");
        }));
        assert!(panicked.is_err());
        finish(&store, "a").await;
    }
}
