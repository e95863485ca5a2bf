//! All faults at once: the short form for every store, the long form, and the proof that the harness would notice.

use super::receiver::Kind;
use super::runs::{Plan, run};

/// To have a run again: its seed, as it was printed.
const SEED: &str = "TOWER_WEBHOOK_HOSTILE_SEED";

/// Which stores the long form takes.
const STORES: &str = "TOWER_WEBHOOK_HOSTILE_STORES";

fn seed() -> u64 {
    std::env::var(SEED).map_or_else(|_| crate::servers::random(), |seed| seed.parse().unwrap())
}

fn short(kind: Kind) -> Plan {
    let has_a_server = !matches!(kind, Kind::Lru | Kind::Sqlite | Kind::SqliteInbox);
    Plan {
        kind,
        receivers: 2,
        deliveries: 300,
        kills: 1,
        blows: has_a_server,
        at_once: 60,
        spared: 10,
        seed: seed(),
    }
}

#[expect(clippy::print_stdout, reason = "the figures of a run, and its seed")]
async fn keeps_its_promise(plan: Plan) {
    println!("{SEED}={}", plan.seed);
    let report = run(plan).await;
    println!("{report}");
    report.assert_kept();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f51_lru_under_kill_9() {
    keeps_its_promise(Plan { receivers: 1, ..short(Kind::Lru) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f51_redis_under_kill_9() {
    keeps_its_promise(short(Kind::Redis)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f51_postgres_under_kill_9() {
    keeps_its_promise(short(Kind::Postgres)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f51_sqlite_under_kill_9() {
    keeps_its_promise(short(Kind::Sqlite)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f51_postgres_inbox_under_kill_9() {
    keeps_its_promise(short(Kind::PostgresInbox)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f51_sqlite_inbox_under_kill_9() {
    keeps_its_promise(short(Kind::SqliteInbox)).await;
}

/// The harness finds what it looks for: a store that marks first loses events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f51_a_store_that_marks_first_is_caught_losing() {
    let report = run(Plan { blows: false, ..short(Kind::MarkFirst) }).await;
    assert!(!report.verdict.lost.is_empty(), "{report}");
}

/// And one that looks, processes and marks doubles them, without any crash to explain it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f51_a_store_that_checks_and_marks_is_caught_doubling() {
    let report = run(Plan { blows: false, ..short(Kind::CheckThenMark) }).await;
    assert!(!report.verdict.doubled.is_empty(), "{report}");
}

/// The long form, which `scripts/hostile.sh` starts: three receivers, ten kills at every failpoint, and 100,000 deliveries
/// for each store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes ten minutes: scripts/hostile.sh"]
#[expect(clippy::print_stdout, reason = "the figures of the runs")]
async fn f51_the_long_form() {
    let stores = std::env::var(STORES).unwrap_or_else(|_| "redis postgres postgres-inbox".to_owned());
    for store in stores.split_whitespace() {
        let kind = match store {
            "lru" => Kind::Lru,
            "redis" => Kind::Redis,
            "postgres" => Kind::Postgres,
            "sqlite" => Kind::Sqlite,
            "postgres-inbox" => Kind::PostgresInbox,
            "sqlite-inbox" => Kind::SqliteInbox,
            other => panic!("no such store: {other}"),
        };
        // Memory is a process's own.
        let receivers = if kind == Kind::Lru { 1 } else { 3 };
        let long =
            Plan { receivers, deliveries: 100_000, kills: 10, blows: true, at_once: 400, ..short(kind) };
        let report = run(Plan { spared: 100, ..long }).await;
        println!("{report}");
        report.assert_kept();
    }
}
