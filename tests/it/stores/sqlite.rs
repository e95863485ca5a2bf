//! Marks in a file of SQLite.

use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tempfile::TempDir;
use tower_webhook::dedup::{Claim, Completion, DedupStore, Lease, SqliteStore, StoreWarning};

use super::suite;
use crate::conformance::{WEEK, acquired, finish, request};

pub(crate) async fn pool_at(folder: &TempDir, connections: u32) -> SqlitePool {
    let options = SqliteStore::options(folder.path().join("events.db"));
    SqlitePoolOptions::new().max_connections(connections).connect_with(options).await.unwrap()
}

/// A store in a file of its own, its pool to look behind it, and the folder that goes when it is dropped.
pub(crate) async fn store() -> (SqliteStore, SqlitePool, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool_at(&folder, 8).await;
    let store = SqliteStore::new(pool.clone());
    store.migrate().await.unwrap();
    (store, pool, folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let (store, _, _folder) = store().await;
    suite(store).run_all().await.unwrap();
}

/// Two pools stand for two processes of one machine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_lose_no_claims_to_each_other() {
    let (first, _, folder) = store().await;
    let second = SqliteStore::new(pool_at(&folder, 8).await);
    second.migrate().await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for store in [first.clone(), second.clone(), first, second] {
        tasks.spawn(async move {
            let mut acquired = 0;
            for id in 0..250 {
                match store.claim(&request(&id.to_string())).await.unwrap() {
                    Claim::Acquired(lease) => {
                        assert_eq!(store.complete(&lease, WEEK).await.unwrap(), Completion::Completed);
                        acquired += 1;
                    }
                    Claim::InFlight { .. } | Claim::Done => {}
                }
            }
            acquired
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().sum::<i32>(), 250, "one winner an event");
}

#[tokio::test]
async fn marks_survive_a_restart() {
    let (store, pool, folder) = store().await;
    finish(&store, "evt_1").await;
    let lease = acquired(store.claim(&request("evt_2")).await);
    pool.close().await;
    let store = SqliteStore::new(pool_at(&folder, 2).await);
    store.migrate().await.unwrap();
    assert_eq!(store.claim(&request("evt_1")).await.unwrap(), Claim::Done);
    assert!(matches!(store.claim(&request("evt_2")).await.unwrap(), Claim::InFlight { .. }));
    assert_eq!(store.complete(&lease, WEEK).await.unwrap(), Completion::Completed);
}

#[tokio::test]
async fn operators_read_what_happened() {
    let (store, pool, _folder) = store().await;
    let row = async || {
        let columns = "SELECT scope, event_type, event_id, state, attempts, \
            abs(julianday(first_seen) - julianday('now')) < 1.0 / 1440, completed_at IS NOT NULL \
            FROM tower_webhook_events";
        let row: (String, String, String, String, i32, bool, bool) =
            sqlx::query_as(columns).fetch_one(&pool).await.unwrap();
        row
    };
    let told = |state: &str, attempts, completed| {
        let id = r"evt_1\u{0}'; drop";
        ("caspay".into(), "payment.completed".into(), id.into(), state.into(), attempts, true, completed)
    };
    let request = request("evt_1\0'; drop");

    let lease = acquired(store.claim(&request).await);
    assert_eq!(row().await, told("in_flight", 1, false));
    store.release(&lease).await.unwrap();
    assert_eq!(row().await, told("pending", 1, false));
    let lease = acquired(store.claim(&request).await);
    store.complete(&lease, WEEK).await.unwrap();
    assert_eq!(row().await, told("done", 2, true));
    store.forget(request.key()).await.unwrap();
    assert_eq!(row().await, told("pending", 2, false));
}

/// A completion whose answer was lost is repeated, and no lease was lost by that.
#[tokio::test]
async fn a_repeated_completion_is_no_lost_lease() {
    let (store, _, _folder) = store().await;
    let lease = acquired(store.claim(&request("evt_1")).await);
    for _ in 0..2 {
        assert_eq!(store.complete(&lease, WEEK).await.unwrap(), Completion::Completed);
    }
}

#[tokio::test]
async fn a_purge_removes_what_ended_an_hour_ago() {
    let (store, pool, _folder) = store().await;
    let filled = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200) \
        INSERT INTO tower_webhook_events \
        SELECT randomblob(32), 'done', 7, 1000 * unixepoch() - 3660000, '', '', '', '', 1, '', NULL FROM n";
    sqlx::query(filled).execute(&pool).await.unwrap();
    finish(&store, "done").await;
    finish(&store, "ended").await;
    let recent = "UPDATE tower_webhook_events SET ends_at = 1000 * unixepoch() - 3540000 WHERE key = ?";
    sqlx::query(recent).bind(request("ended").key().as_bytes().as_slice()).execute(&pool).await.unwrap();
    acquired(store.claim(&request("in flight")).await);
    let released = acquired(store.claim(&request("released")).await);
    store.release(&released).await.unwrap();

    assert_eq!(store.purge().await.unwrap(), 1_200);
    assert_eq!(store.purge().await.unwrap(), 0);
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tower_webhook_events").fetch_one(&pool).await.unwrap();
    assert_eq!(left, 4);
}

/// A new row's fence is larger than that of one which a purge removed.
#[tokio::test]
async fn fences_outlive_purged_rows() {
    let (store, pool, _folder) = store().await;
    let before = acquired(store.claim(&request("evt_1")).await);
    sqlx::query("DELETE FROM tower_webhook_events").execute(&pool).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    let after = acquired(store.claim(&request("evt_1")).await);
    assert!(before.fence() < after.fence(), "{before:?} {after:?}");
    assert_eq!(store.complete(&before, WEEK).await.unwrap(), Completion::LeaseLost);
}

#[tokio::test]
async fn f50_a_state_of_another_version_is_an_error_and_never_new() {
    let (store, pool, _folder) = store().await;
    finish(&store, "evt_1").await;
    let change = "UPDATE tower_webhook_events SET state = 'archived', ends_at = 0";
    sqlx::query(change).execute(&pool).await.unwrap();
    let lease = Lease::new(*request("evt_1").key(), 1);
    assert!(store.claim(&request("evt_1")).await.unwrap_err().is_corrupt());
    assert!(store.complete(&lease, WEEK).await.unwrap_err().is_corrupt());
    store.release(&lease).await.unwrap();
    store.forget(lease.key()).await.unwrap();
    assert_eq!(store.purge().await.unwrap(), 0);
    let state: String =
        sqlx::query_scalar("SELECT state FROM tower_webhook_events").fetch_one(&pool).await.unwrap();
    assert_eq!(state, "archived");
}

#[tokio::test]
async fn settings_that_lose_commits_or_collide_are_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let check = async |name: &str, change: &dyn Fn(SqliteConnectOptions) -> SqliteConnectOptions| {
        let options = change(SqliteStore::options(folder.path().join(name)));
        let store = SqliteStore::new(SqlitePoolOptions::new().connect_with(options).await.unwrap());
        assert!(store.check().await.is_err(), "there is no table");
        store.migrate().await.unwrap();
        store.check().await.unwrap()
    };
    assert_eq!(check("good", &|options| options).await, []);
    assert_eq!(
        check("normal", &|options| options.synchronous(SqliteSynchronous::Normal)).await,
        [StoreWarning::CommitsNotDurable]
    );
    for change in [
        (|options: SqliteConnectOptions| options.journal_mode(SqliteJournalMode::Delete)) as fn(_) -> _,
        |options: SqliteConnectOptions| options.busy_timeout(Duration::ZERO),
    ] {
        let name = format!("{change:p}");
        assert_eq!(check(&name, &change).await, [StoreWarning::WritersCollide]);
    }
}
