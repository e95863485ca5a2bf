//! What deduplication in Redis costs, beside the least that could do it without its guarantees: `SET NX PX`, then
//! `SET PX`, of the same keys with values of the same size, over the same connection to a server on loopback that
//! writes an append-only file. Medians of paired rounds.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss)]

#[path = "common/mod.rs"]
mod common;
#[path = "../tests/it/servers/mod.rs"]
mod servers;

use std::ops::Range;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue};
use tokio::runtime::{Builder, Runtime};
use tower_webhook::RedisStore;
use tower_webhook::dedup::{Claim, ClaimRequest, Completion, DedupStore as _};

use self::common::{Subject, measure};
use self::servers::RedisServer;

const ROUNDS: usize = 15;
/// Events a round.
const ROUND: usize = 2_000;
/// How many are on their way at once.
const PIPELINED: [usize; 4] = [1, 16, 64, 256];
/// What the throughput should be of the bare commands' at least.
const GOAL: f64 = 0.9;

const MARKS: usize = 100_000;
const LEASE: Duration = Duration::from_secs(30);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

fn main() {
    // A rewrite of the file in the middle of a round would be measured too.
    let server = RedisServer::start_with(&["--auto-aof-rewrite-percentage", "0"]);
    let bench = Bench::new(&server.url());
    let mut ids = Ids(0);

    println!(
        "\n{ROUNDS} rounds of {ROUND} new events, one connection, append-only file, median time an event\n"
    );
    println!("{:<52}{:>12}{:>14}{:>10}", "", "µs", "throughput", "goal");
    for pipelined in PIPELINED {
        bench.compare(pipelined, &mut ids);
    }
    bench.weigh(&mut ids);
}

/// Ids that were not used before.
struct Ids(usize);

impl Ids {
    fn take(&mut self, count: usize) -> Range<usize> {
        self.0 += count;
        self.0 - count..self.0
    }
}

struct Bench {
    runtime: Runtime,
    connection: MultiplexedConnection,
    store: RedisStore<MultiplexedConnection>,
}

impl Bench {
    fn new(url: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let client = redis::Client::open(url).unwrap();
        let connection = runtime.block_on(client.get_multiplexed_async_connection()).unwrap();
        Self { runtime, store: RedisStore::new(connection.clone()), connection }
    }

    fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = Cmd::new();
        command.arg(words);
        self.runtime.block_on(command.query_async(&mut self.connection.clone())).unwrap()
    }

    /// Runs `event` for each id, `pipelined` of them at once.
    fn each<F: Future<Output = ()>>(&self, ids: Range<usize>, pipelined: usize, event: impl Fn(usize) -> F) {
        self.runtime.block_on(stream::iter(ids).for_each_concurrent(pipelined, event));
    }

    fn compare(&self, pipelined: usize, ids: &mut Ids) {
        let done = ids.take(ROUND);
        self.each(done.clone(), pipelined, |id| self.claim_and_complete(id));
        // Each round of each subject brings events of its own; the ids are the same, the keys are not.
        let rounds: Vec<_> = (0..ROUNDS + common::WARM_UP).map(|_| ids.take(ROUND)).collect();
        let (mut for_bare, mut for_store) = (rounds.clone().into_iter(), rounds.into_iter());
        let subjects = vec![
            Subject::new(
                format!("bare: SET NX PX, SET PX; {pipelined} at once"),
                None,
                || vec![for_bare.next().unwrap()],
                |ids| self.each(ids, pipelined, |id| self.bare(id)),
            ),
            Subject::new(
                "    store: claim, complete",
                Some(GOAL),
                || vec![for_store.next().unwrap()],
                |ids| self.each(ids, pipelined, |id| self.claim_and_complete(id)),
            ),
            Subject::new(
                "    store: duplicate of a done event",
                None,
                || vec![done.clone()],
                |ids| self.each(ids, pipelined, |id| self.duplicate(id)),
            ),
        ];
        for measured in measure(ROUNDS, subjects) {
            let micros = measured.nanos / ROUND as f64 / 1_000.0;
            let goal = measured.goal.map_or(String::new(), |goal| format!(">= {goal}"));
            println!("{:<52}{micros:>12.1}{:>14.2}{goal:>10}", measured.name, 1.0 / measured.ratio);
        }
        let () = self.ask(&["FLUSHALL"]);
    }

    /// What a claim and a completion come down to where nothing can go wrong.
    async fn bare(&self, id: usize) {
        let key = format!("webhook:[{id:043}]");
        let mut connection = self.connection.clone();
        let mut claim = redis::cmd("SET");
        claim.arg(&key).arg(11_700_000_000_000_000_u64).arg("NX").arg("PX").arg(30_000);
        let claimed: bool = claim.query_async(&mut connection).await.unwrap();
        assert!(claimed);
        let mut complete = redis::cmd("SET");
        complete.arg(&key).arg(21_700_000_000_000_000_u64).arg("PX").arg(604_800_000);
        let () = complete.query_async(&mut connection).await.unwrap();
    }

    async fn claim_and_complete(&self, id: usize) {
        let id = format!("evt_{id:024}");
        let Claim::Acquired(lease) = self.store.claim(&request(&id)).await.unwrap() else { panic!("{id}") };
        assert_eq!(self.store.complete(&lease, WEEK).await.unwrap(), Completion::Completed);
    }

    async fn duplicate(&self, id: usize) {
        let id = format!("evt_{id:024}");
        assert_eq!(self.store.claim(&request(&id)).await.unwrap(), Claim::Done);
    }

    /// Prints what a done mark takes, by the server's own count and as its use of memory grows.
    fn weigh(&self, ids: &mut Ids) {
        let before = self.used_memory();
        self.each(ids.take(MARKS), 256, |id| self.claim_and_complete(id));
        let grown = (self.used_memory() - before) / MARKS as f64;
        let key: String = self.ask(&["RANDOMKEY"]);
        let bytes: u64 = self.ask(&["MEMORY", "USAGE", &key]);
        println!("\n{MARKS} done marks, bytes a mark\n");
        println!("{:<52}{bytes:>12}{:>24}", "by MEMORY USAGE", "<= 130");
        println!("{:<52}{grown:>12.0}", "by used_memory, with the tables of keys and expiries");
    }

    fn used_memory(&self) -> f64 {
        let report: String = self.ask(&["INFO", "memory"]);
        report.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().parse().unwrap()
    }
}

fn request(id: &str) -> ClaimRequest<'_> {
    ClaimRequest::new("caspay", "payment.completed", id, LEASE)
}
