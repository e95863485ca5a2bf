//! Marks in a real PostgreSQL.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgPool};
use tower_webhook::dedup::{Claim, Completion, DedupStore, Lease, PostgresStore, StoreWarning};
use tower_webhook::testing::conformance::Check;

use super::suite;
use crate::conformance::{WEEK, acquired, finish, request};
use crate::servers::{PostgresServer, postgres_database};

pub(crate) async fn pool(connections: u32) -> PgPool {
    pool_at(&postgres_database().await, connections).await
}

async fn pool_at(url: &str, connections: u32) -> PgPool {
    let options: PgConnectOptions = url.parse().unwrap();
    let options = options.disable_statement_logging();
    PgPoolOptions::new().max_connections(connections).connect_with(options).await.unwrap()
}

/// A store in a database of its own, and its pool to look behind it.
pub(crate) async fn store() -> (PostgresStore, PgPool) {
    let pool = pool(8).await;
    let store = PostgresStore::new(pool.clone());
    store.migrate().await.unwrap();
    (store, pool)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let (store, _) = store().await;
    suite(store).run_all().await.unwrap();
}

/// Where the user's pool is stricter than PostgreSQL's default, a claim that met another one is told to come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_under_serializable_transactions() {
    let options: PgConnectOptions = postgres_database().await.parse().unwrap();
    let options = options.options([("default_transaction_isolation", "serializable")]);
    let options = options.disable_statement_logging();
    let pool = PgPoolOptions::new().max_connections(8).connect_with(options).await.unwrap();
    let store = PostgresStore::new(pool);
    store.migrate().await.unwrap();
    let suite = suite(store);
    for check in [Check::OneWinner, Check::OneTakeover, Check::IndependentKeys, Check::FencesIncrease] {
        suite.run(check).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_may_migrate_at_the_same_time() {
    let pool = pool(8).await;
    let store = PostgresStore::new(pool.clone());
    let migrations: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.migrate().await })
        })
        .collect();
    for migration in migrations {
        migration.await.unwrap().unwrap();
    }
    finish(&store, "evt_1").await;
    store.migrate().await.unwrap();
    assert_eq!(store.claim(&request("evt_1")).await.unwrap(), Claim::Done, "migrating again changes nothing");
}

#[tokio::test]
async fn operators_read_what_happened() {
    let (store, pool) = store().await;
    let row = async |key: &[u8]| {
        let columns = "SELECT scope, event_type, event_id, state, attempts, \
            first_seen <= clock_timestamp() AND first_seen > clock_timestamp() - interval '1 minute', \
            completed_at IS NOT NULL FROM tower_webhook_events WHERE key = $1";
        let row: (String, String, String, String, i32, bool, bool) =
            sqlx::query_as(columns).bind(key).fetch_one(&pool).await.unwrap();
        row
    };
    let told = |id: &str, state: &str, attempts, completed| {
        ("caspay".into(), "payment.completed".into(), id.into(), state.into(), attempts, true, completed)
    };
    let request = request("evt_1\0'; drop");
    let key = *request.key();
    let id = r"evt_1\u{0}'; drop";

    let lease = acquired(store.claim(&request).await);
    assert_eq!(row(key.as_bytes()).await, told(id, "in_flight", 1, false));
    store.release(&lease).await.unwrap();
    assert_eq!(row(key.as_bytes()).await, told(id, "pending", 1, false));
    let lease = acquired(store.claim(&request).await);
    assert_eq!(row(key.as_bytes()).await, told(id, "in_flight", 2, false));
    store.complete(&lease, WEEK).await.unwrap();
    assert_eq!(row(key.as_bytes()).await, told(id, "done", 2, true));
    store.forget(&key).await.unwrap();
    assert_eq!(row(key.as_bytes()).await, told(id, "pending", 2, false));
}

/// A completion whose answer was lost is repeated, and no lease was lost by that.
#[tokio::test]
async fn a_repeated_completion_is_no_lost_lease() {
    let (store, _) = store().await;
    let lease = acquired(store.claim(&request("evt_1")).await);
    for _ in 0..2 {
        assert_eq!(store.complete(&lease, WEEK).await.unwrap(), Completion::Completed);
    }
}

#[tokio::test]
async fn a_purge_removes_what_ended_an_hour_ago() {
    let (store, pool) = store().await;
    for id in 0..2_500 {
        finish(&store, &format!("old_{id}")).await;
    }
    let age = "UPDATE tower_webhook_events SET ends_at = clock_timestamp() - interval '61 minutes'";
    sqlx::query(age).execute(&pool).await.unwrap();
    finish(&store, "done").await;
    finish(&store, "ended").await;
    let recent =
        "UPDATE tower_webhook_events SET ends_at = clock_timestamp() - interval '59 minutes' WHERE key = $1";
    sqlx::query(recent).bind(request("ended").key().as_bytes()).execute(&pool).await.unwrap();
    acquired(store.claim(&request("in flight")).await);
    let released = acquired(store.claim(&request("released")).await);
    store.release(&released).await.unwrap();

    assert_eq!(store.purge().await.unwrap(), 2_500);
    assert_eq!(store.purge().await.unwrap(), 0);
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tower_webhook_events").fetch_one(&pool).await.unwrap();
    assert_eq!(left, 4);
    let after = acquired(store.claim(&request("old_7")).await);
    assert!(after.fence() > 2_500, "fences outlive purged rows: {}", after.fence());
}

#[tokio::test]
async fn f50_a_state_of_another_version_is_an_error_and_never_new() {
    let (store, pool) = store().await;
    finish(&store, "evt_1").await;
    sqlx::query("UPDATE tower_webhook_events SET state = 'archived'").execute(&pool).await.unwrap();
    let lease = Lease::new(*request("evt_1").key(), 1);
    assert!(store.claim(&request("evt_1")).await.unwrap_err().is_corrupt());
    assert!(store.complete(&lease, WEEK).await.unwrap_err().is_corrupt());
    store.release(&lease).await.unwrap();
    store.forget(lease.key()).await.unwrap();
    let age = "UPDATE tower_webhook_events SET ends_at = clock_timestamp() - interval '1 year'";
    sqlx::query(age).execute(&pool).await.unwrap();
    assert!(store.claim(&request("evt_1")).await.unwrap_err().is_corrupt(), "not by its age either");
    assert_eq!(store.purge().await.unwrap(), 0);
    let state: String =
        sqlx::query_scalar("SELECT state FROM tower_webhook_events").fetch_one(&pool).await.unwrap();
    assert_eq!(state, "archived");
}

#[tokio::test]
async fn settings_that_lose_commits_are_warned_about() {
    let server = PostgresServer::start();
    let store = PostgresStore::new(pool_at(&server.database().await, 2).await);
    assert!(store.check().await.is_err(), "there is no table");
    store.migrate().await.unwrap();
    assert_eq!(store.check().await.unwrap(), []);

    let url = server.database().await;
    let options: PgConnectOptions = url.parse().unwrap();
    let options = options.options([("synchronous_commit", "off")]);
    let pool = PgPoolOptions::new().connect_with(options).await.unwrap();
    let store = PostgresStore::new(pool);
    store.migrate().await.unwrap();
    assert_eq!(store.check().await.unwrap(), [StoreWarning::CommitsNotDurable]);
    assert!(format!("{store:?}").starts_with("PostgresStore { connections: "), "no host, no user");
}
