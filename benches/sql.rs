//! What deduplication in PostgreSQL and SQLite costs, beside the least that could do it without its guarantees:
//! `INSERT .. ON CONFLICT DO NOTHING` for the claim and `UPDATE .. WHERE key` for the completion, in a table of a key
//! and a state. One connection each; every statement is a commit that reaches the disk. Medians of paired rounds.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss)]

#[path = "common/mod.rs"]
mod common;
#[path = "../tests/it/servers/mod.rs"]
mod servers;

use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{ConnectOptions as _, PgPool, SqlitePool};
use tokio::runtime::{Builder, Runtime};
use tower_webhook::dedup::{Claim, ClaimRequest, Completion, DedupKey, DedupStore, Lease};
use tower_webhook::{PostgresStore, SqliteStore};

use self::common::{Subject, WARM_UP, measure};
use self::servers::PostgresServer;

const ROUNDS: usize = 15;
/// Statements a round.
const ROUND: usize = 100;
/// What the rate should be of the bare statement's at least.
const GOAL: f64 = 0.8;

const MARKS: i64 = 100_000;
const LEASE: Duration = Duration::from_secs(30);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The table that does without guarantees.
const BARE: &str = "CREATE TABLE bare (key {bytes} PRIMARY KEY, state text NOT NULL)";

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    println!(
        "\n{ROUNDS} rounds of {ROUND} statements, one connection, durable commits, median time a statement"
    );

    let server = PostgresServer::start();
    let pool = runtime.block_on(async {
        let options: PgConnectOptions = server.database().await.parse().unwrap();
        let pool = PgPoolOptions::new().max_connections(1).test_before_acquire(false);
        pool.connect_with(options.disable_statement_logging()).await.unwrap()
    });
    let store = PostgresStore::new(pool.clone());
    runtime.block_on(async {
        store.migrate().await.unwrap();
        sqlx::raw_sql(&*BARE.replace("{bytes}", "bytea").leak()).execute(&pool).await.unwrap();
    });
    compare("PostgreSQL", &runtime, &store, &pool);
    runtime.block_on(weigh_postgres(&pool));

    let folder = tempfile::tempdir_in("target").unwrap();
    let pool = runtime.block_on(async {
        let options = SqliteStore::options(folder.path().join("marks.db")).disable_statement_logging();
        let pool = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
        pool.connect_with(options).await.unwrap()
    });
    let store = SqliteStore::new(pool.clone());
    runtime.block_on(async {
        store.migrate().await.unwrap();
        sqlx::raw_sql(&*BARE.replace("{bytes}", "blob").leak()).execute(&pool).await.unwrap();
    });
    compare("SQLite", &runtime, &store, &pool);
    runtime.block_on(weigh_sqlite(&pool));
}

/// The two statements that do without guarantees.
trait Bare {
    async fn insert(&self, key: &DedupKey);
    async fn update(&self, key: &DedupKey);
}

impl Bare for PgPool {
    async fn insert(&self, key: &DedupKey) {
        let insert = "INSERT INTO bare (key, state) VALUES ($1, 'in_flight') ON CONFLICT DO NOTHING";
        let inserted = sqlx::query(insert).bind(key.as_bytes()).execute(self).await.unwrap();
        assert_eq!(inserted.rows_affected(), 1);
    }

    async fn update(&self, key: &DedupKey) {
        let update = "UPDATE bare SET state = 'done' WHERE key = $1";
        let updated = sqlx::query(update).bind(key.as_bytes()).execute(self).await.unwrap();
        assert_eq!(updated.rows_affected(), 1);
    }
}

impl Bare for SqlitePool {
    async fn insert(&self, key: &DedupKey) {
        let insert = "INSERT INTO bare (key, state) VALUES (?, 'in_flight') ON CONFLICT DO NOTHING";
        let inserted = sqlx::query(insert).bind(key.as_bytes().as_slice()).execute(self).await.unwrap();
        assert_eq!(inserted.rows_affected(), 1);
    }

    async fn update(&self, key: &DedupKey) {
        let update = "UPDATE bare SET state = 'done' WHERE key = ?";
        let updated = sqlx::query(update).bind(key.as_bytes().as_slice()).execute(self).await.unwrap();
        assert_eq!(updated.rows_affected(), 1);
    }
}

fn compare(title: &str, runtime: &Runtime, store: &impl DedupStore, bare: &impl Bare) {
    println!("\n{:<52}{:>12}{:>14}{:>10}", title, "µs", "rate", "goal");
    let rounds = ROUNDS + WARM_UP;
    let ids = |of: &str| -> Vec<Vec<String>> {
        (0..rounds).map(|round| (0..ROUND).map(|id| format!("{of}_{round}_{id}")).collect()).collect()
    };
    let (claimed, inserted) = (ids("claimed"), ids("inserted"));

    let (mut for_bare, mut for_store) = (inserted.iter(), claimed.iter());
    let mut leases = Vec::new();
    let subjects = vec![
        Subject::new(
            "bare: INSERT .. ON CONFLICT DO NOTHING",
            None,
            || for_bare.next().unwrap().clone(),
            |id| runtime.block_on(bare.insert(request(&id).key())),
        ),
        Subject::new(
            "    store: claim",
            Some(GOAL),
            || for_store.next().unwrap().clone(),
            |id| leases.push(runtime.block_on(claim(store, &id))),
        ),
    ];
    print(measure(ROUNDS, subjects));

    let mut for_bare = inserted.iter();
    let mut for_store = leases.chunks(ROUND);
    let subjects = vec![
        Subject::new(
            "bare: UPDATE .. WHERE key",
            None,
            || for_bare.next().unwrap().clone(),
            |id| runtime.block_on(bare.update(request(&id).key())),
        ),
        Subject::new(
            "    store: complete",
            Some(GOAL),
            || for_store.next().unwrap().to_vec(),
            |lease| {
                let completion = runtime.block_on(store.complete(&lease, WEEK)).unwrap();
                assert_eq!(completion, Completion::Completed);
            },
        ),
        Subject::new(
            "    store: duplicate of a done event (two statements)",
            None,
            || claimed[0].clone(),
            |id| assert_eq!(runtime.block_on(store.claim(&request(&id))).unwrap(), Claim::Done),
        ),
    ];
    // The duplicate of the first round needs what that round completes.
    for lease in &leases[..ROUND] {
        runtime.block_on(store.complete(lease, WEEK)).unwrap();
    }
    print(measure(ROUNDS, subjects));
}

fn print(measured: Vec<common::Measured>) {
    for measured in measured {
        let micros = measured.nanos / 1_000.0;
        let goal = measured.goal.map_or(String::new(), |goal| format!(">= {goal}"));
        println!("{:<52}{micros:>12.1}{:>14.2}{goal:>10}", measured.name, 1.0 / measured.ratio);
    }
}

async fn claim(store: &impl DedupStore, id: &str) -> Lease {
    let Claim::Acquired(lease) = store.claim(&request(id)).await.unwrap() else { panic!("{id} is taken") };
    lease
}

fn request(id: &str) -> ClaimRequest<'_> {
    ClaimRequest::new("caspay", "payment.completed", id, LEASE)
}

/// Fills the table as claims and completions do, with ids of 28 characters, and prints what a mark takes on the disk.
async fn weigh_postgres(pool: &PgPool) {
    let fill = "TRUNCATE tower_webhook_events; \
        INSERT INTO tower_webhook_events SELECT sha256(i::text::bytea), 'in_flight', i, now(), 'caspay', \
        'payment.completed', 'evt_' || lpad(i::text, 24, '0'), now(), 1 FROM generate_series(1, 100000) AS i; \
        UPDATE tower_webhook_events SET state = 'done', ends_at = ends_at + i.random * interval '7 days', \
        completed_at = now() FROM (SELECT random()) AS i";
    let start = Instant::now();
    sqlx::raw_sql(fill).execute(pool).await.unwrap();
    let size = "SELECT pg_total_relation_size('tower_webhook_events')";
    let before: i64 = sqlx::query_scalar(size).fetch_one(pool).await.unwrap();
    sqlx::raw_sql("VACUUM FULL tower_webhook_events").execute(pool).await.unwrap();
    let after: i64 = sqlx::query_scalar(size).fetch_one(pool).await.unwrap();
    let filled = start.elapsed();
    println!(
        "{MARKS} done marks: {} bytes each with their indexes, {} while their first versions wait for vacuum ({filled:.1?})",
        after / MARKS,
        before / MARKS
    );
}

async fn weigh_sqlite(pool: &SqlitePool) {
    let size = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    sqlx::raw_sql("DELETE FROM tower_webhook_events; DROP TABLE bare; VACUUM").execute(pool).await.unwrap();
    let empty: i64 = sqlx::query_scalar(size).fetch_one(pool).await.unwrap();
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
        INSERT INTO tower_webhook_events SELECT randomblob(32), 'done', 1700000000000000 + i, 1700000000000 + i, \
        'caspay', 'payment.completed', printf('evt_%024d', i), '2026-01-01T00:00:00.000Z', 1, \
        '2026-01-01T00:00:00.000Z', NULL FROM n";
    sqlx::raw_sql(fill).execute(pool).await.unwrap();
    let full: i64 = sqlx::query_scalar(size).fetch_one(pool).await.unwrap();
    println!("{MARKS} done marks: {} bytes each with their index", (full - empty) / MARKS);
}
