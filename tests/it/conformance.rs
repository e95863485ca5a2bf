//! The conformance suite over the in-memory store, and over stores with one planted bug each, to prove that
//! the suite would notice.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::yield_now;
use tower_webhook::Clock;
use tower_webhook::dedup::{
    Claim, ClaimRequest, Completion, DedupKey, DedupStore, Lease, LruStore, SharedStore, StoreError,
    StoreInfo,
};
use tower_webhook::testing::ManualClock;
use tower_webhook::testing::conformance::{Check, Suite};
use tower_webhook::testing::faulty::{Fault, FaultyStore, Operation};

const LEASE: Duration = Duration::from_secs(30);
pub(crate) const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

fn manual_clock() -> ManualClock {
    ManualClock::at_unix(1_700_000_000)
}

/// A suite whose time is a manual clock's.
fn suite<St: DedupStore>(make: impl Fn(ManualClock) -> St + Send + Sync + 'static) -> Suite<St> {
    let clock = manual_clock();
    let passing = clock.clone();
    Suite::new(move || {
        let store = make(clock.clone());
        async move { store }
    })
    .with_sleep(move |time| {
        passing.advance(time);
        async {}
    })
}

pub(crate) fn request(id: &str) -> ClaimRequest<'_> {
    ClaimRequest::new("caspay", "payment.completed", id, LEASE)
}

#[track_caller]
pub(crate) fn acquired(claim: Result<Claim, StoreError>) -> Lease {
    match claim {
        Ok(Claim::Acquired(lease)) => lease,
        other => panic!("expected an acquired claim, found {other:?}"),
    }
}

pub(crate) async fn finish(store: &impl DedupStore, id: &str) {
    let lease = acquired(store.claim(&request(id)).await);
    assert_eq!(store.complete(&lease, WEEK).await.unwrap(), Completion::Completed);
}

/// A machine that stands still: it sleeps longer than it is asked to, `times` over, on the store's clock and its own.
fn on_a_machine_that_stands_still(times: u32) -> Suite<LruStore> {
    const LEASE: Duration = Duration::from_millis(20);
    let (clock, left) = (manual_clock(), AtomicU32::new(times));
    let passing = clock.clone();
    Suite::new(move || {
        let store = LruStore::with_clock(1_000, clock.clone());
        async move { store }
    })
    .with_lease(LEASE)
    .with_sleep(move |time| {
        passing.advance(time);
        if left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            passing.advance(3 * Duration::from_secs(1));
            std::thread::sleep(LEASE);
        }
        async {}
    })
}

#[tokio::test]
async fn what_came_too_late_to_tell_is_tried_again() {
    on_a_machine_that_stands_still(3).run(Check::LeaseExpiry).await.unwrap();
    let failure = on_a_machine_that_stands_still(u32::MAX).run(Check::LeaseExpiry).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "lease_expiry: expected answers while a lease of 20ms lasts, \
         found none in 5 attempts: the store or the machine needs a longer one",
    );
}

mod lru {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn one_shard_conforms() {
        suite(|clock| LruStore::with_clock(4_095, clock)).run_all().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn sixteen_shards_conform() {
        suite(|clock| LruStore::with_clock(4_096, clock)).run_all().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn one_shared_store_conforms() {
        let clock = manual_clock();
        let store = Arc::new(LruStore::with_clock(100_000, clock.clone()));
        let suite = Suite::new(move || {
            let store = store.clone();
            async { store }
        })
        .with_sleep(move |time| {
            clock.advance(time);
            async {}
        });
        // Twice, since the ids of the first run are still known to the store.
        // In a task, as a future that may move between threads.
        tokio::spawn(async move {
            suite.run_all().await.unwrap();
            suite.run_all().await.unwrap();
        })
        .await
        .unwrap();
    }

    /// Follows the paused time of the runtime without a manual clock, on a current-thread runtime.
    #[tokio::test(start_paused = true)]
    async fn paused_time_conforms() {
        for capacity in [1_000, 100_000] {
            Suite::new(move || async move { LruStore::new(capacity) }).run_all().await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_lease_conforms() {
        for lease in [Duration::from_millis(50), Duration::from_secs(60)] {
            Suite::new(|| async { LruStore::new(10_000) }).with_lease(lease).run_all().await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn faultless_faulty_store_conforms() {
        suite(|clock| FaultyStore::new(LruStore::with_clock(10_000, clock))).run_all().await.unwrap();
    }

    #[tokio::test]
    async fn recall_of_the_last_capacity_ids_is_exactly_one() {
        for capacity in [1, 10, 4_095, 4_096, 10_000] {
            let store = LruStore::new(capacity);
            for n in 0..3 * capacity {
                finish(&store, &n.to_string()).await;
            }
            for n in 2 * capacity..3 * capacity {
                let claim = store.claim(&request(&n.to_string())).await.unwrap();
                assert_eq!(claim, Claim::Done, "event {n} of capacity {capacity}");
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn f14_of_a_storm_of_64_one_is_acquired_and_none_is_done() {
        for capacity in [1_000, 100_000] {
            let store = Arc::new(LruStore::new(capacity));
            let start = Arc::new(tokio::sync::Barrier::new(64));
            let storm: Vec<_> = (0..64)
                .map(|_| {
                    let (store, start) = (store.clone(), start.clone());
                    tokio::spawn(async move {
                        start.wait().await;
                        store.claim(&request("evt_1")).await.unwrap()
                    })
                })
                .collect();
            let mut claims = Vec::new();
            for task in storm {
                claims.push(task.await.unwrap());
            }
            assert_eq!(claims.iter().filter(|claim| matches!(claim, Claim::Acquired(_))).count(), 1);
            assert_eq!(claims.iter().filter(|claim| matches!(claim, Claim::InFlight { .. })).count(), 63);
        }
    }

    #[tokio::test]
    async fn f21_the_old_holder_learns_that_it_lost_its_lease() {
        let clock = manual_clock();
        let store = LruStore::with_clock(1_000, clock.clone());
        let old = acquired(store.claim(&request("evt_1")).await);
        clock.advance(LEASE);
        let new = acquired(store.claim(&request("evt_1")).await);
        assert_eq!(store.stats().taken_over(), 1);
        assert_eq!(store.complete(&new, WEEK).await.unwrap(), Completion::Completed);
        assert_eq!(store.complete(&old, WEEK).await.unwrap(), Completion::LeaseLost);
        assert_eq!(store.claim(&request("evt_1")).await.unwrap(), Claim::Done);
    }

    #[tokio::test]
    async fn f22_a_late_release_leaves_the_new_lease_alone() {
        let clock = manual_clock();
        let store = LruStore::with_clock(1_000, clock.clone());
        let old = acquired(store.claim(&request("evt_1")).await);
        clock.advance(LEASE);
        let new = acquired(store.claim(&request("evt_1")).await);
        store.release(&old).await.unwrap();
        let claim = store.claim(&request("evt_1")).await.unwrap();
        assert_eq!(claim, Claim::InFlight { retry_after: LEASE });
        assert_eq!(store.complete(&new, WEEK).await.unwrap(), Completion::Completed);
    }

    #[tokio::test]
    async fn f23_after_a_late_completion_no_third_run_is_possible() {
        let clock = manual_clock();
        let store = LruStore::with_clock(1_000, clock.clone());
        let old = acquired(store.claim(&request("evt_1")).await);
        clock.advance(LEASE);
        let new = acquired(store.claim(&request("evt_1")).await);
        assert_eq!(store.complete(&old, WEEK).await.unwrap(), Completion::LeaseLost);
        assert_eq!(store.claim(&request("evt_1")).await.unwrap(), Claim::Done);
        store.release(&new).await.unwrap();
        clock.advance(2 * LEASE);
        assert_eq!(store.claim(&request("evt_1")).await.unwrap(), Claim::Done);
    }

    #[tokio::test]
    async fn f37_the_mark_evicted_by_the_eleventh_of_ten_events_is_counted_and_reruns() {
        let store = LruStore::new(10);
        for n in 0..10 {
            finish(&store, &n.to_string()).await;
        }
        assert_eq!(store.evicted_young(), 0);
        finish(&store, "10").await;
        assert_eq!(store.evicted_young(), 1);
        for n in 1..=10 {
            assert_eq!(store.claim(&request(&n.to_string())).await.unwrap(), Claim::Done);
        }
        acquired(store.claim(&request("0")).await);
    }

    #[tokio::test]
    async fn f39_expired_done_mark_reruns_once() {
        let clock = manual_clock();
        let store = LruStore::with_clock(1_000, clock.clone());
        finish(&store, "evt_1").await;
        clock.advance(WEEK - Duration::from_nanos(1));
        assert_eq!(store.claim(&request("evt_1")).await.unwrap(), Claim::Done);
        clock.advance(Duration::from_nanos(1));
        let rerun = acquired(store.claim(&request("evt_1")).await);
        assert!(matches!(store.claim(&request("evt_1")).await.unwrap(), Claim::InFlight { .. }));
        store.complete(&rerun, WEEK).await.unwrap();
        assert_eq!(store.claim(&request("evt_1")).await.unwrap(), Claim::Done);
        assert_eq!(store.evicted_young(), 0);
    }

    #[tokio::test]
    async fn t096_authentic_flood_over_capacity_never_evicts_in_flight() {
        let store = LruStore::new(100);
        let mut held = Vec::new();
        for n in 0..50 {
            held.push(acquired(store.claim(&request(&format!("held {n}"))).await));
        }
        for n in 0..10_000 {
            finish(&store, &format!("flood {n}")).await;
        }
        assert_eq!((store.stats().done(), store.stats().in_flight()), (100, 50));

        for n in 50..100 {
            held.push(acquired(store.claim(&request(&format!("held {n}"))).await));
        }
        for n in 0..1_000 {
            let refused = store.claim(&request(&format!("one too many {n}"))).await;
            assert!(refused.unwrap_err().is_full());
        }
        for n in 0..100 {
            let claim = store.claim(&request(&format!("held {n}"))).await.unwrap();
            assert!(matches!(claim, Claim::InFlight { .. }));
        }
        for lease in &held {
            assert_eq!(store.complete(lease, WEEK).await.unwrap(), Completion::Completed);
        }
    }

    /// A sender knows the scope and can try ids until their digests agree where a table would look. Here all
    /// ids agree in the bits that a plain remainder would choose the shard by; in one shard they would evict
    /// each other.
    #[tokio::test]
    async fn t097_chosen_ids_spread_over_shards_and_buckets() {
        let capacity = 4_096;
        for byte in [15, 16, 31] {
            let ids = (0..).map(|n: u64| n.to_string());
            let chosen = ids.filter(|id| request(id).key().as_bytes()[byte] % 16 == 0).take(1_024);
            let chosen: Vec<String> = chosen.collect();
            let store = LruStore::new(capacity);
            for id in &chosen {
                finish(&store, id).await;
            }
            assert_eq!(store.evicted_young(), 0);
            for id in &chosen {
                assert_eq!(store.claim(&request(id)).await.unwrap(), Claim::Done);
            }
        }
    }

    #[tokio::test]
    async fn t098_huge_capacity_preallocates_nothing() {
        for capacity in [100_000_000, usize::MAX - 1, usize::MAX] {
            let store = LruStore::new(capacity);
            assert_eq!(store.info().capacity(), Some(capacity));
            finish(&store, "evt_1").await;
            assert_eq!(store.claim(&request("evt_1")).await.unwrap(), Claim::Done);
        }
    }
}

mod shared {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_store_chosen_at_run_time_conforms() {
        for capacity in [4_095, 4_096] {
            let make = move |clock| SharedStore::new(LruStore::with_clock(capacity, clock));
            suite(make).run_all().await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn it_hides_no_bug_of_the_store_within() {
        for &(bug, check) in PLANTED {
            let found = suite(move |clock| SharedStore::new(Planted::new(bug, clock))).run(check).await;
            assert!(found.is_err(), "{bug:?} passes {}", check.name());
        }
    }
}

/// What is wrong with a [`Planted`] store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    GetThenSet,
    GetThenSetWithoutAwait,
    GetThenSetOnTakeover,
    InFlightIsDone,
    InFlightIsAcquired,
    RetryAtOnce,
    RetryAfterTooLong,
    ReleaseDoesNothing,
    MarkEndsWithLease,
    ReleaseReopensDone,
    LeaseEndsEarly,
    LeaseNeverEnds,
    LeaseIsOfAnotherKey,
    FenceIsConstant,
    FenceRestartsWithEntry,
    ReleaseIgnoresFence,
    StaleCompletionRefused,
    StaleCompletionUnnoticed,
    CompletionNeedsClaim,
    CompletionDeletesThenInserts,
    CompletionSleepsInBetween,
    ClaimSetsLeaseAfterwards,
    ForgetDoesNothing,
    ForgetForgetsClaims,
    MarkNeverEnds,
    HitProlongsMark,
    KeyIsConcatenated,
    KeyIgnoresType,
    KeyIsTrimmed,
    KeyEndsAtNul,
    KeyIgnoresCase,
    KeyIsCut,
}

/// A correct store, except for its [`Bug`].
pub(crate) struct Planted {
    bug: Bug,
    clock: ManualClock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: HashMap<DedupKey, Entry>,
    last_fence: u64,
    /// The key that is used instead, where the bug is in the key.
    keys: HashMap<DedupKey, DedupKey>,
}

#[derive(Clone, Copy)]
struct Entry {
    fence: u64,
    until: Instant,
    retain: Duration,
    done: bool,
}

impl Planted {
    pub(crate) fn new(bug: Bug, clock: ManualClock) -> Self {
        Self { bug, clock, state: Mutex::default() }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn key(&self, key: &DedupKey) -> DedupKey {
        self.state().keys.get(key).copied().unwrap_or(*key)
    }

    fn key_of(&self, request: &ClaimRequest<'_>) -> DedupKey {
        let (scope, event_type, id) = (request.scope(), request.event_type(), request.id());
        let key = match self.bug {
            Bug::KeyIsConcatenated => DedupKey::new("", "", &format!("{scope}:{event_type}:{id}")),
            Bug::KeyIgnoresType => DedupKey::new(scope, "", id),
            Bug::KeyIsTrimmed => DedupKey::new(scope, event_type, id.trim()),
            Bug::KeyEndsAtNul => DedupKey::new(scope, event_type, id.split('\0').next().unwrap()),
            Bug::KeyIgnoresCase => DedupKey::new(scope, event_type, &id.to_lowercase()),
            Bug::KeyIsCut => DedupKey::new(scope, event_type, &id[..id.len().min(255)]),
            _ => *request.key(),
        };
        self.state().keys.insert(*request.key(), key);
        key
    }
}

impl DedupStore for Planted {
    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claim, StoreError> {
        let key = self.key_of(request);
        let now = self.clock.monotonic();
        let found = self.state().entries.get(&key).copied();
        let torn = match found {
            None => self.has(Bug::GetThenSet) || self.has(Bug::GetThenSetWithoutAwait),
            Some(entry) => self.has(Bug::GetThenSetOnTakeover) && !entry.done && entry.until <= now,
        };
        if self.has(Bug::GetThenSetWithoutAwait) {
            std::thread::sleep(Duration::from_micros(10));
        } else if torn {
            yield_now().await;
        }

        let wedged = self.has(Bug::ClaimSetsLeaseAfterwards);
        let lease = {
            let mut state = self.state();
            // A get-then-set decides by what it saw before.
            let seen = if torn { found } else { state.entries.get(&key).copied() };
            match seen {
                Some(entry) if entry.done && (now < entry.until || self.has(Bug::MarkNeverEnds)) => {
                    if self.has(Bug::HitProlongsMark) {
                        let entry = state.entries.get_mut(&key).unwrap();
                        entry.until = now + entry.retain;
                    }
                    return Ok(Claim::Done);
                }
                Some(entry) if !entry.done && (now < entry.until || self.has(Bug::LeaseNeverEnds)) => {
                    return Ok(match self.bug {
                        Bug::InFlightIsDone => Claim::Done,
                        Bug::InFlightIsAcquired => Claim::Acquired(Lease::new(*request.key(), entry.fence)),
                        Bug::RetryAtOnce => Claim::InFlight { retry_after: Duration::ZERO },
                        Bug::RetryAfterTooLong => {
                            Claim::InFlight { retry_after: request.lease() + Duration::from_nanos(1) }
                        }
                        _ => Claim::InFlight { retry_after: entry.until.saturating_duration_since(now) },
                    });
                }
                _ => {}
            }
            let fence = match self.bug {
                Bug::FenceIsConstant => 1,
                Bug::FenceRestartsWithEntry => {
                    state.entries.get(&key).filter(|entry| !entry.done).map_or(1, |entry| entry.fence + 1)
                }
                _ => state.last_fence + 1,
            };
            state.last_fence = fence;
            let lease = match self.bug {
                Bug::LeaseEndsEarly => request.lease() * 2 / 3,
                Bug::ClaimSetsLeaseAfterwards => WEEK,
                _ => request.lease(),
            };
            let entry = Entry { fence, until: now + lease, retain: lease, done: false };
            state.entries.insert(key, entry);
            let other = self.has(Bug::LeaseIsOfAnotherKey).then(|| DedupKey::from([0; 32]));
            Lease::new(other.unwrap_or(*request.key()), fence)
        };
        if wedged {
            yield_now().await;
            if let Some(entry) = self.state().entries.get_mut(&key) {
                entry.until = now + request.lease();
            }
        }
        Ok(Claim::Acquired(lease))
    }

    async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Completion, StoreError> {
        let key = self.key(lease.key());
        let now = self.clock.monotonic();
        let before = {
            let mut state = self.state();
            let before = state.entries.get(&key).copied();
            if matches!(self.bug, Bug::CompletionDeletesThenInserts | Bug::CompletionSleepsInBetween) {
                state.entries.remove(&key);
            }
            before
        };
        match self.bug {
            Bug::CompletionDeletesThenInserts => yield_now().await,
            Bug::CompletionSleepsInBetween => tokio::time::sleep(Duration::from_millis(3)).await,
            _ => {}
        }
        let held = before.is_some_and(|entry| !entry.done && entry.fence == lease.fence());
        if (self.has(Bug::StaleCompletionRefused) && !held && before.is_some())
            || (self.has(Bug::CompletionNeedsClaim) && before.is_none())
        {
            return Ok(Completion::LeaseLost);
        }
        let until = match before {
            Some(entry) if self.has(Bug::MarkEndsWithLease) => entry.until,
            _ => now + retain,
        };
        let entry = Entry { fence: lease.fence(), until, retain, done: true };
        self.state().entries.insert(key, entry);
        let completed = held || self.has(Bug::StaleCompletionUnnoticed);
        Ok(if completed { Completion::Completed } else { Completion::LeaseLost })
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let key = self.key(lease.key());
        let mut state = self.state();
        if let Some(entry) = state.entries.get(&key)
            && (!entry.done || self.has(Bug::ReleaseReopensDone))
            && (entry.fence == lease.fence() || self.has(Bug::ReleaseIgnoresFence))
            && !self.has(Bug::ReleaseDoesNothing)
        {
            state.entries.remove(&key);
        }
        Ok(())
    }

    async fn forget(&self, key: &DedupKey) -> Result<(), StoreError> {
        let key = self.key(key);
        let mut state = self.state();
        if let Some(entry) = state.entries.get(&key)
            && (entry.done || self.has(Bug::ForgetForgetsClaims))
            && !self.has(Bug::ForgetDoesNothing)
        {
            state.entries.remove(&key);
        }
        Ok(())
    }

    fn info(&self) -> StoreInfo {
        StoreInfo::new(false, false)
    }
}

const PLANTED: &[(Bug, Check)] = &[
    (Bug::GetThenSet, Check::OneWinner),
    (Bug::GetThenSetWithoutAwait, Check::OneWinner),
    (Bug::InFlightIsDone, Check::OneWinner),
    (Bug::InFlightIsDone, Check::InFlightDuplicate),
    (Bug::InFlightIsAcquired, Check::InFlightDuplicate),
    (Bug::LeaseIsOfAnotherKey, Check::InFlightDuplicate),
    (Bug::RetryAtOnce, Check::InFlightDuplicate),
    (Bug::RetryAfterTooLong, Check::InFlightDuplicate),
    (Bug::ReleaseDoesNothing, Check::ReleaseThenClaim),
    (Bug::MarkEndsWithLease, Check::CompletedStaysDone),
    (Bug::ReleaseReopensDone, Check::DoneIsFinal),
    (Bug::LeaseEndsEarly, Check::LeaseExpiry),
    (Bug::LeaseNeverEnds, Check::LeaseExpiry),
    (Bug::GetThenSetOnTakeover, Check::OneTakeover),
    (Bug::FenceIsConstant, Check::FencesIncrease),
    (Bug::FenceRestartsWithEntry, Check::FencesIncrease),
    (Bug::ReleaseIgnoresFence, Check::StaleRelease),
    (Bug::StaleCompletionRefused, Check::StaleCompletion),
    (Bug::StaleCompletionUnnoticed, Check::StaleCompletion),
    (Bug::CompletionNeedsClaim, Check::LateCompletion),
    (Bug::CompletionDeletesThenInserts, Check::ClaimDuringCompletion),
    (Bug::CompletionSleepsInBetween, Check::DroppedCompletion),
    (Bug::ClaimSetsLeaseAfterwards, Check::DroppedClaim),
    (Bug::LeaseNeverEnds, Check::DroppedClaim),
    (Bug::ForgetDoesNothing, Check::Forget),
    (Bug::ForgetForgetsClaims, Check::ForgetKeepsInFlight),
    (Bug::MarkNeverEnds, Check::RetentionExpiry),
    (Bug::HitProlongsMark, Check::RetentionExpiry),
    (Bug::KeyIsConcatenated, Check::IndependentKeys),
    (Bug::KeyIgnoresType, Check::IndependentKeys),
    (Bug::KeyIsTrimmed, Check::IndependentKeys),
    (Bug::KeyEndsAtNul, Check::IndependentKeys),
    (Bug::KeyIgnoresCase, Check::IndependentKeys),
    (Bug::KeyIsCut, Check::IndependentKeys),
];

/// Contenders that await meet on any runtime; those that do not need the threads that the suite asks for.
#[tokio::test]
async fn one_thread_finds_every_planted_bug_that_awaits() {
    for &(bug, check) in PLANTED {
        let found = suite(move |clock| Planted::new(bug, clock)).run(check).await;
        assert_eq!(found.is_err(), bug != Bug::GetThenSetWithoutAwait, "{bug:?}: {}", check.name());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_planted_bug_fails_the_check_it_was_planted_for() {
    for &(bug, check) in PLANTED {
        let found = suite(move |clock| Planted::new(bug, clock)).run(check).await;
        let failure = found.expect_err(&format!("{bug:?} passes {}", check.name()));
        assert_eq!(failure.check(), check);
        assert!(!failure.found().contains("error"), "{bug:?}: {failure}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_bug_the_planted_store_passes() {
    suite(|clock| Planted::new(Bug::None, clock)).run_all().await.unwrap();
}

#[test]
fn every_check_has_a_planted_bug_and_a_name_of_its_own() {
    for check in Check::ALL {
        assert!(PLANTED.iter().any(|(_, failing)| failing == check), "{}", check.name());
        assert_eq!(Check::ALL.iter().filter(|other| other.name() == check.name()).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn run_all_goes_on_after_a_failure_and_reports_each() {
    let failures = suite(|clock| Planted::new(Bug::ReleaseDoesNothing, clock)).run_all().await.unwrap_err();
    let names: Vec<_> = failures.iter().map(|failure| failure.check().name()).collect();
    assert!(names.contains(&"release_then_claim") && names.contains(&"stale_release"), "{names:?}");
    assert!(names.len() < Check::ALL.len());
    assert_eq!(failures.into_iter().count(), names.len());
    let report = format!("{failures:?}");
    assert!(report.starts_with(&format!("{} of {} checks failed\n  ", names.len(), Check::ALL.len())));
    assert!(
        report.contains(
            "release_then_claim: expected a claim after the release to be acquired, found InFlight"
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_fails_or_panics_fails_the_checks() {
    let failing = |fault| {
        suite(move |clock| {
            let store = FaultyStore::new(LruStore::with_clock(10_000, clock));
            store.faults().next(Operation::Claim, 1, fault);
            store
        })
    };
    for (check, expected) in
        [(Check::OneWinner, "an answer to a racing operation"), (Check::LeaseExpiry, "an answer to a claim")]
    {
        let failure = failing(Fault::Unavailable).run(check).await.unwrap_err();
        assert_eq!(failure.expected(), expected);
        assert_eq!(
            failure.found(),
            "the error \"the deduplication store is unavailable: injected fault: Claim fails\""
        );
    }
    let failure = failing(Fault::Panic).run(Check::OneWinner).await.unwrap_err();
    assert!(failure.found().contains("panicked"), "{failure}");
}

#[test]
fn a_suite_shows_its_lease() {
    let suite = suite(|clock| LruStore::with_clock(1, clock)).with_lease(LEASE);
    assert_eq!(format!("{suite:?}"), "Suite { lease: 30s, .. }");
}
