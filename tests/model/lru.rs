//! The LRU store under every order in which threads can reach its locks, its counter and its clock; where those are
//! too many, under twenty thousand of them. See `scripts/model.sh`.
//!
//! The store is the crate's, compiled with shuttle's locks. Its operations never wait for anything but a lock, so that
//! each is one poll.

#[cfg(not(shuttle))]
compile_error!("run scripts/model.sh: without `--cfg shuttle` there is nothing to interleave");

use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use shuttle::scheduler::DfsScheduler;
use shuttle::{Config, Runner, thread};
use tower_webhook::Clock;
use tower_webhook::dedup::{Claim, ClaimRequest, Completion, DedupStore, Lease, LruStore};

const LEASE: Duration = Duration::from_secs(30);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many orders are tried where there are too many to try all.
const ORDERS: usize = 20_000;

/// Moves when told to. Its numbers are std's: an order in which it is read makes a difference only while it moves.
#[derive(Clone)]
struct Time {
    started: Instant,
    seconds: Arc<AtomicU64>,
    /// Whether another thread may come first at every reading.
    moves: Arc<AtomicBool>,
}

impl Time {
    fn pass(&self, time: Duration) {
        self.seconds.fetch_add(time.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for Time {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn monotonic(&self) -> Instant {
        if self.moves.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        self.started + Duration::from_secs(self.seconds.load(Ordering::SeqCst))
    }
}

/// The store, with what a thread does to it.
#[derive(Clone)]
struct Store {
    lru: Arc<LruStore>,
    time: Time,
}

impl Store {
    fn new(capacity: usize) -> Self {
        let time = Time { started: Instant::now(), seconds: Arc::default(), moves: Arc::default() };
        Self { lru: Arc::new(LruStore::with_clock(capacity, time.clone())), time }
    }

    /// `None` where the store is full.
    fn try_claim(&self, id: &str) -> Option<Claim> {
        match at_once(self.lru.claim(&request(id))) {
            Ok(claim) => Some(claim),
            Err(error) if error.is_full() => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn claim(&self, id: &str) -> Claim {
        let claim = self.try_claim(id).expect("the store has room");
        if let Claim::InFlight { retry_after } = claim {
            assert!(retry_after > Duration::ZERO && retry_after <= LEASE, "{retry_after:?}");
        }
        claim
    }

    fn acquire(&self, id: &str) -> Lease {
        acquired(self.claim(id)).expect("nobody else claims it")
    }

    fn complete(&self, lease: &Lease) -> Completion {
        at_once(self.lru.complete(lease, WEEK)).unwrap()
    }

    fn release(&self, lease: &Lease) {
        at_once(self.lru.release(lease)).unwrap();
    }

    fn forget(&self, id: &str) {
        at_once(self.lru.forget(request(id).key())).unwrap();
    }

    /// Claims in flight, and done marks.
    fn held(&self) -> (usize, usize) {
        let stats = self.lru.stats();
        (stats.in_flight(), stats.done())
    }

    /// Runs `run` in a thread of its own.
    fn spawn<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let store = self.clone();
        thread::spawn(move || run(&store))
    }
}

fn request(id: &str) -> ClaimRequest<'_> {
    ClaimRequest::new("caspay", "payment.completed", id, LEASE)
}

fn acquired(claim: Claim) -> Option<Lease> {
    match claim {
        Claim::Acquired(lease) => Some(lease),
        _ => None,
    }
}

fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("an operation of the LRU waits for something"),
    }
}

fn every_order(scenario: impl Fn() + Send + Sync + 'static) {
    let all = DfsScheduler::new(None, false);
    let orders = Runner::new(all, Config::default()).run(scenario);
    println!("{orders} orders");
}

/// Half of them by chance, half with few but awkward switches.
fn many_orders(scenario: fn()) {
    shuttle::check_random(scenario, ORDERS / 2);
    shuttle::check_pct(scenario, ORDERS / 2, 4);
}

#[test]
fn of_three_claims_one_wins() {
    every_order(|| {
        let store = Store::new(10);
        let threads = [(); 3].map(|()| store.spawn(|store| store.claim("a")));
        let claims = threads.map(|thread| thread.join().unwrap());
        let won = claims.iter().filter(|claim| matches!(claim, Claim::Acquired(_))).count();
        let waits = claims.iter().filter(|claim| matches!(claim, Claim::InFlight { .. })).count();
        assert_eq!((won, waits), (1, 2));
        assert_eq!(store.held(), (1, 0));
    });
}

#[test]
fn a_claim_during_the_completion_is_in_flight_or_done_and_done_is_final() {
    every_order(|| {
        let store = Store::new(10);
        let lease = store.acquire("a");
        let completes = store.spawn(move |store| store.complete(&lease));
        let claims = [1, 2]
            .map(|times| store.spawn(move |store| (0..times).map(|_| store.claim("a")).collect::<Vec<_>>()));
        assert_eq!(completes.join().unwrap(), Completion::Completed);
        for claims in claims.map(|thread| thread.join().unwrap()) {
            assert!(!claims.iter().any(|claim| matches!(claim, Claim::Acquired(_))), "{claims:?}");
            assert!(!matches!(claims[..], [Claim::Done, Claim::InFlight { .. }]), "{claims:?}");
        }
        assert_eq!(store.claim("a"), Claim::Done);
        assert_eq!(store.held(), (0, 1));
    });
}

#[test]
fn a_release_leaves_the_claim_of_a_successor_alone() {
    every_order(|| {
        let store = Store::new(10);
        let old = store.acquire("a");
        store.time.pass(LEASE);
        let fence = old.fence();
        let releases = store.spawn(move |store| store.release(&old));
        let claims = [(); 2].map(|()| store.spawn(|store| acquired(store.claim("a"))));
        releases.join().unwrap();
        let claims = claims.map(|thread| thread.join().unwrap());
        let won: Vec<_> = claims.into_iter().flatten().collect();
        assert_eq!(won.len(), 1);
        assert!(won[0].fence() > fence);
        // Whatever came first, the successor holds it now.
        assert!(matches!(store.claim("a"), Claim::InFlight { .. }));
        assert_eq!(store.complete(&won[0]), Completion::Completed);
        assert_eq!(store.held(), (0, 1));
    });
}

#[test]
fn a_lease_that_ends_meanwhile_has_a_current_holder() {
    every_order(|| {
        let store = Store::new(10);
        let old = store.acquire("a");
        store.time.moves.store(true, Ordering::SeqCst);
        let releases = store.spawn(move |store| store.release(&old));
        let early = store.spawn(|store| acquired(store.claim("a")));
        let late = store.spawn(|store| {
            store.time.pass(LEASE);
            acquired(store.claim("a"))
        });
        releases.join().unwrap();
        let successors = [early, late].map(|thread| thread.join().unwrap());
        // Both, where the early one claimed what was released, and its own lease ended by that passing, too.
        let current = successors.iter().flatten().max_by_key(|lease| lease.fence()).expect("one of them");
        assert!(successors[1].as_ref().is_none_or(|lease| lease == current), "{successors:?}");
        assert!(matches!(store.claim("a"), Claim::InFlight { .. }));
        assert_eq!(store.complete(current), Completion::Completed);
        assert_eq!(store.held(), (0, 1));
    });
}

#[test]
fn two_runs_of_an_event_never_both_go_unnoticed() {
    every_order(|| {
        let store = Store::new(10);
        let old = store.acquire("a");
        store.time.pass(LEASE);
        let late = store.spawn(move |store| store.complete(&old));
        let successors = [(); 2]
            .map(|()| store.spawn(|store| acquired(store.claim("a")).map(|lease| store.complete(&lease))));
        let late = late.join().unwrap();
        let successors = successors.map(|thread| thread.join().unwrap());
        let second: Vec<_> = successors.into_iter().flatten().collect();
        assert!(second.len() <= 1, "{second:?}");
        // Whoever took over makes the old holder's completion a lost one.
        assert_eq!(late == Completion::Completed, second.is_empty());
        assert_eq!(store.claim("a"), Claim::Done);
        assert_eq!(store.held(), (0, 1));
    });
}

/// Three marks and three claims have room. The marks are there, so that each event evicts one; one claim stays, so that
/// the events have room for two.
#[test]
fn eviction_never_takes_a_claim_in_flight() {
    many_orders(|| {
        let store = Store::new(3);
        for id in ["1", "2", "3"] {
            store.complete(&store.acquire(id));
        }
        let held = store.acquire("held");
        let threads = ["a", "b", "c"].map(|id| {
            store.spawn(move |store| {
                let lease = acquired(store.try_claim(id)?).expect("nobody else claims it");
                assert!(matches!(store.claim("held"), Claim::InFlight { .. }));
                assert_eq!(store.complete(&lease), Completion::Completed);
                Some(())
            })
        });
        let done = threads.map(|thread| thread.join().unwrap()).into_iter().flatten().count();
        assert!(done >= 2, "two find room at any time");
        assert_eq!(store.held(), (1, 3));
        assert_eq!(store.lru.evicted_young(), done as u64);
        assert_eq!(store.complete(&held), Completion::Completed);
    });
}

#[test]
fn one_at_a_time_holds_an_event_and_fences_grow() {
    many_orders(|| {
        let store = Store::new(10);
        let holders = Arc::new(AtomicU64::new(0));
        let fences = Arc::new(Mutex::new(Vec::new()));
        let threads = [(); 3].map(|()| {
            let (holders, fences) = (holders.clone(), fences.clone());
            store.spawn(move |store| {
                for _ in 0..2 {
                    let Some(lease) = acquired(store.claim("a")) else { continue };
                    assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two hold the event");
                    thread::yield_now();
                    fences.lock().unwrap().push(lease.fence());
                    holders.fetch_sub(1, Ordering::SeqCst);
                    store.release(&lease);
                }
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        let fences = fences.lock().unwrap();
        assert!(fences.is_sorted_by(|one, next| one < next), "{fences:?}");
        assert_eq!(store.held(), (0, 0));
    });
}

/// Sixteen shards: the threads meet in one, or they do not.
#[test]
fn what_is_held_adds_up() {
    many_orders(|| {
        let store = Store::new(4_096);
        let completes = store.spawn(|store| {
            let lease = store.acquire("a");
            assert!(store.held().0 >= 1);
            store.complete(&lease)
        });
        let releases = store.spawn(|store| {
            let lease = store.acquire("b");
            store.release(&lease);
        });
        let forgets = store.spawn(|store| {
            let lease = store.acquire("c");
            store.complete(&lease);
            store.forget("c");
            let (in_flight, done) = store.held();
            assert!(in_flight <= 2 && done <= 1, "{in_flight} and {done}");
        });
        assert_eq!(completes.join().unwrap(), Completion::Completed);
        releases.join().unwrap();
        forgets.join().unwrap();
        assert_eq!(store.held(), (0, 1));
        assert_eq!(store.claim("a"), Claim::Done);
        for id in ["b", "c"] {
            store.acquire(id);
        }
        assert_eq!(store.held(), (2, 1));
    });
}
