//! What deduplication in memory costs, beside what the least possible costs: one insert of a key into a
//! `HashMap` behind a `Mutex`. Medians of several rounds in one run; every iteration brings a new id.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss)]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tower_webhook::dedup::{Claim, ClaimRequest, DedupStore, LruStore};

const CAPACITY: usize = 1_000_000;
const ROUND: usize = 100_000;
const ROUNDS: usize = 9;
const LEASE: Duration = Duration::from_secs(30);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

fn main() {
    let full = LruStore::new(CAPACITY);
    let roomy = LruStore::new(2 * CAPACITY);
    let baseline = Mutex::new(HashMap::new());
    let mut ids = Ids::default();
    for _ in 0..CAPACITY / ROUND {
        let round = ids.round();
        run(&full, &round);
        run(&roomy, &round);
        insert(&baseline, &round);
    }
    assert_eq!((full.stats().done(), full.evicted_young()), (CAPACITY, 0));

    let (mut bare, mut with_room, mut evicting, mut duplicate, mut two) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let round = ids.round();
        bare.push(insert(&baseline, &round));
        with_room.push(run(&roomy, &round));
        evicting.push(run(&full, &round));
        duplicate.push(meet(&full, &round));
        two.push(run_on_two_threads(&full, &ids.round(), &ids.round()));
    }
    assert!(full.evicted_young() > 0 && roomy.evicted_young() == 0);
    // In one thread, so that it is known which ids are the last.
    for _ in 0..CAPACITY / ROUND {
        run(&full, &ids.round());
    }
    let last = ids.last(CAPACITY);
    let recalled = last.iter().filter(|id| claim(&full, id) == Claim::Done).count();
    assert_eq!(recalled, CAPACITY, "recall of the last capacity ids");

    let bare = median(bare);
    let row = |what: &str, nanoseconds: f64, goal: &str| {
        let ratio = nanoseconds / bare;
        println!("{what:<48}{nanoseconds:>9.0} ns{ratio:>10.2}{goal:>12}");
    };
    println!("\n{CAPACITY} done marks, {ROUNDS} rounds of {ROUND} new ids, median time an event\n");
    println!("{:<48}{:>12}{:>10}{:>12}", "", "measured", "ratio", "goal");
    row("baseline: HashMap behind one Mutex, insert", bare, "");
    row("new event: claim, complete", median(with_room), "<= 700 ns");
    let evicting = median(evicting);
    row("new event in a full store: and evict", evicting, "");
    row("duplicate of a done event: claim", median(duplicate), "");
    println!(
        "{:<48}{:>12.2}{:>22}",
        "throughput of two threads by that of one",
        evicting / median(two),
        "> 1"
    );
    println!("{:<48}{:>12}{:>22}", "recall of the last 1,000,000 ids", "exactly 1", "exactly 1");
}

/// Ids that were not used before.
#[derive(Default)]
struct Ids(usize);

impl Ids {
    fn round(&mut self) -> Vec<String> {
        self.0 += ROUND;
        self.last(ROUND)
    }

    fn last(&self, count: usize) -> Vec<String> {
        (self.0 - count..self.0).map(|n| format!("evt_{n:024}")).collect()
    }
}

fn request(id: &str) -> ClaimRequest<'_> {
    ClaimRequest::new("caspay", "payment.completed", id, LEASE)
}

fn requests(ids: &[String]) -> Vec<ClaimRequest<'_>> {
    ids.iter().map(|id| request(id)).collect()
}

fn claim(store: &LruStore, id: &str) -> Claim {
    now(store.claim(&request(id))).unwrap()
}

/// An in-memory store answers at the first poll.
fn now<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().unwrap()
}

fn run(store: &LruStore, ids: &[String]) -> f64 {
    let requests = requests(ids);
    let start = Instant::now();
    claim_and_complete(store, &requests);
    per_event(start, ids.len())
}

fn claim_and_complete(store: &LruStore, requests: &[ClaimRequest<'_>]) {
    for request in requests {
        let Claim::Acquired(lease) = now(store.claim(request)).unwrap() else { panic!("a new id") };
        black_box(now(store.complete(&lease, WEEK)).unwrap());
    }
}

fn meet(store: &LruStore, ids: &[String]) -> f64 {
    let requests = requests(ids);
    let start = Instant::now();
    for request in &requests {
        assert_eq!(now(store.claim(request)).unwrap(), Claim::Done);
    }
    per_event(start, ids.len())
}

fn insert(map: &Mutex<HashMap<[u8; 32], ()>>, ids: &[String]) -> f64 {
    let requests = requests(ids);
    let start = Instant::now();
    for request in &requests {
        black_box(map.lock().unwrap().insert(*request.key().as_bytes(), ()));
    }
    per_event(start, ids.len())
}

/// Each thread brings its own ids.
fn run_on_two_threads(store: &LruStore, first: &[String], second: &[String]) -> f64 {
    let ready = Barrier::new(3);
    let work = |ids: &[String]| {
        let requests = requests(ids);
        ready.wait();
        claim_and_complete(store, &requests);
    };
    std::thread::scope(|scope| {
        let threads = [first, second].map(|ids| scope.spawn(move || work(ids)));
        ready.wait();
        let start = Instant::now();
        for thread in threads {
            thread.join().unwrap();
        }
        per_event(start, first.len() + second.len())
    })
}

/// Nanoseconds an event.
fn per_event(start: Instant, events: usize) -> f64 {
    start.elapsed().as_nanos() as f64 / events as f64
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}
