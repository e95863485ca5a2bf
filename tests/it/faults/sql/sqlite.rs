//! Faults of a file of SQLite, where marks are claimed and completed apart from the effect.

#[path = "marks.rs"]
mod marks;

use std::sync::Arc;

use sqlx::sqlite::SqlitePoolOptions;
use tower_webhook::OnStoreFailure;
use tower_webhook::dedup::SqliteStore;

use self::marks::{Marks, impatient, is_never_new};
pub(crate) use crate::inbox::sqlite::{Home, Store, connect, fresh};
use crate::stage::{DUPLICATE, HANDLED, SECOND, timing, within_a_minute};

pub(crate) type Db = sqlx::Sqlite;

/// The lease, or the retention, of every mark is over.
pub(crate) const EXPIRE: &str = "UPDATE tower_webhook_events SET ends_at = ends_at - 4000000000000";

const UNAVAILABLE: (u16, &str) = (503, "store_unavailable");

/// Another process has the file for longer than anybody waits.
#[tokio::test]
async fn f08_f09_a_file_that_is_locked_is_a_store_that_is_down() {
    let marks = Marks::new().await;
    let layer = marks.layer(impatient());
    let (answer, run) = marks.begin(&layer, "evt_1").await;
    let process = connect(&marks.home, 1).await;
    let mut other = process.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::raw_sql("CREATE TABLE busy (id INTEGER)").execute(&mut *other).await.unwrap();
    assert_eq!(marks.send(&layer, "evt_2").await.0, 503);
    assert_eq!(marks.runs.starts.count(), 1);
    run.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED, "the work is done");
    other.rollback().await.unwrap();
    assert!(layer.shutdown().drain(60 * SECOND).await.is_complete());
    assert_eq!(marks.send(&marks.layer(timing()), "evt_1").await, DUPLICATE);
    // A claim that came too late is nobody's.
    sqlx::raw_sql("UPDATE tower_webhook_events SET ends_at = 0 WHERE state = 'in_flight'")
        .execute(&marks.pool)
        .await
        .unwrap();
    assert_eq!(marks.handle(&layer, "evt_2").await, HANDLED);
}

#[tokio::test]
async fn f08_a_file_that_cannot_be_written_is_a_store_that_is_down() {
    let marks = Marks::new().await;
    assert_eq!(marks.handle(&marks.layer(timing()), "evt_1").await, HANDLED);
    let options = SqliteStore::options(marks.home.path().join("shop.db")).read_only(true);
    let pool = SqlitePoolOptions::new().connect_with(options).await.unwrap();
    let reading = Marks { store: SqliteStore::new(pool.clone()), pool, ..marks };
    for id in ["evt_1", "evt_2"] {
        assert_eq!(reading.send(&reading.layer(timing()), id).await, UNAVAILABLE, "{id}");
    }
    assert_eq!(reading.runs.starts.count(), 1);
}

/// What does not fit is not claimed, and what is claimed can be completed when there is room again.
#[tokio::test]
async fn f08_f09_a_full_disk_is_a_store_that_is_down() {
    let marks = Marks::new().await;
    let claimed = marks.layer(impatient());
    let (answer, run) = marks.begin(&claimed, "evt_1").await;
    let mut connection = marks.pool.acquire().await.unwrap();
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut *connection).await.unwrap();
    drop(connection);
    let limit = SqliteStore::options(marks.home.path().join("shop.db"));
    let pool = SqlitePoolOptions::new()
        .max_connections(2)
        .connect_with(limit.pragma("max_page_count", (pages + 2).to_string()))
        .await
        .unwrap();
    let full = Marks {
        store: SqliteStore::new(pool.clone()),
        pool,
        home: Arc::clone(&marks.home),
        runs: marks.runs.clone(),
    };
    let layer = full.layer(impatient());
    let mut handled = 0;
    for id in 0..200 {
        let (begun, mut answer) =
            (full.runs.starts.count(), full.post(&layer, &format!("{id}_{}", "x".repeat(150))));
        let answered = tokio::select! {
            run = full.runs.next() => {
                run.succeed();
                handled += 1;
                (&mut answer).await.unwrap()
            }
            refused = &mut answer => {
                assert_eq!(full.runs.starts.count(), begun, "nothing runs without a claim");
                refused.unwrap()
            }
        };
        if answered != HANDLED {
            assert_eq!(answered, UNAVAILABLE, "after {handled}");
            break;
        }
    }
    assert!((1..200).contains(&handled), "{handled} fitted");
    run.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED);
    let marked: i64 = sqlx::query_scalar("SELECT count(*) FROM tower_webhook_events WHERE state = 'done'")
        .fetch_one(&marks.pool)
        .await
        .unwrap();
    assert_eq!(marked, handled + 1, "nothing that was answered 200 is missing");
}

/// Columns of SQLite hold whatever is put into them.
#[tokio::test]
async fn t100_garbage_in_a_row_is_an_error_and_never_new() {
    let garbage = [
        "SET state = ''",
        "SET state = 'DONE'",
        "SET state = 7",
        "SET state = X'FF00'",
        "SET state = X'646F6E65'",
        "SET ends_at = 'never'",
        "SET ends_at = ''",
        "SET ends_at = X'00'",
        "SET ends_at = 1e300",
        "SET ends_at = 'never', state = 'in_flight'",
        "SET fence = 9223372036854775807, state = 'pending'",
        "SET fence = 1e300, state = 'pending'",
    ];
    for change in garbage {
        is_never_new(change, |told| told.0 == 503).await;
    }
}

/// A fence of another type is none that anybody holds; the row's next claim has a right one.
#[tokio::test]
async fn t100_a_fence_that_is_no_number_fits_no_lease() {
    for fence in ["'x'", "X'01'", "''"] {
        let marks = Marks::new().await;
        let layer = marks.layer(timing());
        let (answer, run) = marks.begin(&layer, "evt_1").await;
        let statement = sqlx::AssertSqlSafe(format!("UPDATE tower_webhook_events SET fence = {fence}"));
        sqlx::raw_sql(statement).execute(&marks.pool).await.unwrap();
        run.succeed();
        assert_eq!(answer.await.unwrap(), HANDLED, "the work is done");
        assert_eq!(layer.stats().leases_lost(), 1, "{fence}");
        assert_eq!(marks.send(&marks.layer(timing()), "evt_1").await, DUPLICATE);
    }
}

/// The file is gone, replaced by somebody's backup, or is no database.
#[tokio::test]
async fn t100_a_file_that_is_no_database_is_an_error() {
    let home = fresh().await;
    std::fs::write(
        home.path().join("shop.db"),
        "not a database, but long enough to be read as one".repeat(100),
    )
    .unwrap();
    let options = SqliteStore::options(home.path().join("shop.db"));
    let refused = within_a_minute(SqlitePoolOptions::new().connect_with(options)).await;
    assert!(refused.is_err(), "already the pool cannot be made");
}

/// The disk has damaged the file: nothing runs on the word of what is left.
#[tokio::test]
async fn t100_a_damaged_file_is_an_error_and_never_new() {
    let marks = Marks::new().await;
    assert_eq!(marks.handle(&marks.layer(impatient()), "evt_1").await, HANDLED);
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    sqlx::raw_sql(checkpoint).execute(&marks.pool).await.unwrap();
    marks.pool.close().await;
    let path = marks.home.path().join("shop.db");
    let mut file = std::fs::read(&path).unwrap();
    // All pages but the first one, which has the schema.
    file[4_096..].fill(0xa5);
    std::fs::write(&path, file).unwrap();
    let pool = connect(&marks.home, 2).await;
    let damaged = Marks { store: SqliteStore::new(pool.clone()), pool, ..marks };
    for policy in [OnStoreFailure::Reject, OnStoreFailure::Process] {
        let layer = damaged.layer(impatient()).with_on_store_failure(policy);
        assert_eq!(damaged.send(&layer, "evt_1").await, UNAVAILABLE);
    }
    assert_eq!(damaged.runs.starts.count(), 1);
}
