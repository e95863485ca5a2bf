//! Faults that every store meets in the same way, through whole receivers that share it: each chosen at run time.

use std::any::Any;
use std::time::Duration;

use tempfile::TempDir;
use tower_webhook::dedup::{Claim, ClaimRequest, Completion, DedupStore as _, Lease};
use tower_webhook::testing::ManualClock;
use tower_webhook::{HandlerError, LruStore, RedisStore, SharedStore};

use super::receiver::{FAILED, Receiver, fresh_name, request, short_lease};
use super::{postgres, redis, sqlite};
use crate::servers::redis_url;
use crate::stage::{DUPLICATE, HANDLED, IN_FLIGHT, timing};
use crate::support::NOW;

/// Ten minutes before or after everybody else.
const SKEW: Duration = Duration::from_secs(600);

/// A store, and what must outlive it.
struct Store {
    name: &'static str,
    store: SharedStore,
    _folder: Box<dyn Any>,
}

async fn every() -> [Store; 4] {
    let (in_file, _, folder): (_, _, TempDir) = sqlite::store().await;
    let (in_postgres, _) = postgres::store().await;
    let in_redis = RedisStore::new(redis::connect(&redis_url()).await);
    [
        ("lru", SharedStore::new(LruStore::new(1_000)), Box::new(()) as Box<dyn Any>),
        ("sqlite", SharedStore::new(in_file), Box::new(folder)),
        ("redis", SharedStore::new(in_redis), Box::new(())),
        ("postgres", SharedStore::new(in_postgres), Box::new(())),
    ]
    .map(|(name, store, _folder)| Store { name, store, _folder })
}

impl Store {
    /// Two instances of one service.
    fn instances(&self) -> [Receiver<SharedStore>; 2] {
        let name = fresh_name();
        [(); 2].map(|()| Receiver::named(&name, self.store.clone(), timing()))
    }

    /// The claim of a holder that vanishes.
    async fn claim_briefly(&self, scope: &str, id: &str) -> Lease {
        let of = request(scope, id);
        let brief = ClaimRequest::new(scope, of.event_type(), id, Duration::from_millis(50));
        match self.store.claim(&brief).await.unwrap() {
            Claim::Acquired(lease) => lease,
            other => panic!("{}: {other:?}", self.name),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f14_of_a_storm_of_64_one_runs_and_none_is_done_before_it() {
    for store in every().await {
        let [first, second] = store.instances();
        let storm: Vec<_> = (0..32).flat_map(|_| [first.post("evt_1"), second.post("evt_1")]).collect();
        let run = tokio::select! {
            run = first.runs.next() => run,
            run = second.runs.next() => run,
        };
        run.succeed();
        let mut verdicts = Vec::new();
        for answer in storm {
            verdicts.push(answer.await.unwrap());
        }
        let handled = verdicts.iter().filter(|verdict| **verdict == HANDLED).count();
        assert_eq!(handled, 1, "{}: {verdicts:?}", store.name);
        assert!(verdicts.iter().all(|verdict| [HANDLED, IN_FLIGHT, DUPLICATE].contains(verdict)));
        assert_eq!(first.runs.starts.count() + second.runs.starts.count(), 1, "{}", store.name);
        assert_eq!(second.deliver("evt_1").await, DUPLICATE, "{}", store.name);
    }
}

/// While the first attempt runs nobody hears 200, so that a retry is left to run when it fails.
#[tokio::test]
async fn f16_a_first_attempt_that_fails_leaves_the_event_to_a_retry_elsewhere() {
    for store in every().await {
        let [first, second] = store.instances();
        let (answer, run) = first.begin("evt_1").await;
        assert_eq!(second.deliver("evt_1").await, IN_FLIGHT, "{}", store.name);
        run.fail(HandlerError::retry("no"));
        assert_eq!(answer.await.unwrap(), FAILED, "{}", store.name);
        assert_eq!(second.handle("evt_1").await, HANDLED, "{}", store.name);
        assert_eq!(first.deliver("evt_1").await, DUPLICATE, "{}", store.name);
        assert_eq!(first.runs.effects.count() + second.runs.effects.count(), 1, "{}", store.name);
    }
}

/// A holder that is late completes, since its work is done, and is told that it was not alone. Its successor cannot
/// reopen the event.
#[tokio::test]
async fn f23_a_late_holder_settles_the_event_and_is_counted() {
    for store in every().await {
        let name = fresh_name();
        let [first, second] = [(); 2].map(|()| Receiver::named(&name, store.store.clone(), short_lease()));
        // Its handler hangs until its timeout, so that the lease is left to run out.
        let (_answer, hanging) = first.begin("evt_1").await;
        let lease = store.claim_briefly(&first.scope(), "evt_late").await;
        hanging.dropped().await;
        assert_eq!(second.retry("evt_1", &[IN_FLIGHT]).await, HANDLED, "{}", store.name);
        // The other event was claimed by somebody who is gone for longer than its lease, and comes back meanwhile.
        let (answer, run) = second.begin("evt_late").await;
        let completion = store.store.complete(&lease, Duration::from_secs(60)).await.unwrap();
        assert_eq!(completion, Completion::LeaseLost, "{}", store.name);
        assert_eq!(first.deliver("evt_late").await, DUPLICATE, "{}", store.name);
        run.fail(HandlerError::retry("no"));
        assert_eq!(answer.await.unwrap(), FAILED, "{}", store.name);
        assert_eq!(first.deliver("evt_late").await, DUPLICATE, "{}: a third run is impossible", store.name);
    }
}

/// Instances whose clocks disagree see the same leases and marks: the store's clock decides.
#[tokio::test]
async fn f41_clocks_of_instances_decide_nothing() {
    for store in every().await {
        let name = fresh_name();
        let [early, late] = [NOW, NOW + 2 * SKEW.as_secs()].map(|now| {
            let mut receiver = Receiver::named(&name, store.store.clone(), timing());
            receiver.layer = receiver.layer.with_clock(ManualClock::at_unix(now));
            receiver
        });
        let (answer, run) = early.begin("evt_1").await;
        assert_eq!(late.deliver("evt_1").await, IN_FLIGHT, "{}", store.name);
        run.succeed();
        assert_eq!(answer.await.unwrap(), HANDLED, "{}", store.name);
        for receiver in [&late, &early] {
            assert_eq!(receiver.deliver("evt_1").await, DUPLICATE, "{}", store.name);
        }
    }
}

/// Events come in any order, and none waits for another.
#[tokio::test]
async fn f40_an_event_does_not_wait_for_the_one_before_it() {
    for store in every().await {
        let [first, second] = store.instances();
        let (answer, run) = first.begin("created").await;
        assert_eq!(second.handle("paid").await, HANDLED, "{}", store.name);
        run.succeed();
        assert_eq!(answer.await.unwrap(), HANDLED, "{}", store.name);
    }
}

/// An operator whose handler was wrong lets a done event run again, once.
#[tokio::test]
async fn f48_an_operator_lets_a_done_event_run_again() {
    for store in every().await {
        let [first, second] = store.instances();
        assert_eq!(first.handle("evt_1").await, HANDLED, "{}", store.name);
        store.store.forget(request(&first.scope(), "evt_1").key()).await.unwrap();
        assert_eq!(second.handle("evt_1").await, HANDLED, "{}", store.name);
        assert_eq!(first.deliver("evt_1").await, DUPLICATE, "{}", store.name);
    }
}
