//! Faults of PostgreSQL, where marks are claimed and completed apart from the effect.

#[path = "marks.rs"]
mod marks;

use std::time::Duration;

use self::marks::{Marks, impatient, is_never_new};
pub(crate) use crate::inbox::postgres::{Home, Store, connect, fresh};
use crate::servers::PostgresServer;
use crate::stage::{DUPLICATE, HANDLED, IN_FLIGHT, Runs, SECOND, timing, within_a_minute};
use tower_webhook::HandlerError;

pub(crate) type Db = sqlx::Postgres;

/// The lease, or the retention, of every mark is over.
pub(crate) const EXPIRE: &str =
    "UPDATE tower_webhook_events SET ends_at = clock_timestamp() - interval '1 millisecond'";

async fn on(server: &PostgresServer) -> Marks {
    Marks::open(server.database().await).await
}

/// Waits until the server has recovered, as the pool sees it.
async fn reaches(marks: &Marks) {
    let asked = async {
        while sqlx::query("SELECT 1").execute(&marks.pool).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within_a_minute(asked).await;
}

#[tokio::test]
async fn f08_a_server_that_is_down_at_the_claim_runs_nothing() {
    let mut server = PostgresServer::start();
    let marks = on(&server).await;
    let layer = marks.layer(impatient());
    server.kill();
    for _ in 0..2 {
        let (status, reason) = marks.send(&layer, "evt_1").await;
        assert!(status == 503 && ["store_unavailable", "store_timeout"].contains(&reason), "{reason}");
    }
    assert_eq!(marks.runs.starts.count(), 0);
    server.restart();
    reaches(&marks).await;
    assert_eq!(marks.handle(&layer, "evt_1").await, HANDLED);
    assert_eq!(marks.send(&marks.layer(timing()), "evt_1").await, DUPLICATE);
}

#[tokio::test]
async fn f09_a_server_that_is_down_at_completion_is_told_later() {
    let mut server = PostgresServer::start();
    let marks = on(&server).await;
    let layer = marks.layer(impatient());
    let (answer, run) = marks.begin(&layer, "evt_1").await;
    server.stop_fast();
    run.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED, "the work is done");
    server.restart();
    assert!(layer.shutdown().drain(60 * SECOND).await.is_complete());
    assert!(layer.stats().completions_retried() > 0);
    assert_eq!(marks.send(&marks.layer(timing()), "evt_1").await, DUPLICATE);
    assert_eq!(marks.runs.starts.count(), 1);
}

#[tokio::test]
async fn f10_a_server_that_is_down_at_release_leaves_the_lease_to_end() {
    let mut server = PostgresServer::start();
    let marks = on(&server).await;
    let layer = marks.layer(impatient());
    let (answer, run) = marks.begin(&layer, "evt_1").await;
    server.kill();
    run.fail(HandlerError::retry("no"));
    assert_eq!(answer.await.unwrap().0, 503);
    server.restart();
    reaches(&marks).await;
    assert_eq!(marks.send(&layer, "evt_1").await, IN_FLIGHT, "the claim was on the disk");
    marks.expire().await;
    assert_eq!(marks.handle(&layer, "evt_1").await, HANDLED);
}

/// A server that stands still gets as long as a store is given. What it does later is bounded by the lease.
#[tokio::test]
async fn f11_t102_a_server_that_stands_still_is_not_waited_for() {
    let server = PostgresServer::start();
    let marks = on(&server).await;
    let layer = marks.layer(impatient());
    server.pause();
    assert_eq!(marks.send(&layer, "evt_1").await.0, 503);
    server.resume();
    assert_eq!(marks.runs.starts.count(), 0);
    // What the server makes of the claim now is nobody's.
    tokio::time::sleep(SECOND / 5).await;
    marks.expire().await;
    assert_eq!(marks.handle(&layer, "evt_1").await, HANDLED);

    let (answer, run) = marks.begin(&layer, "evt_2").await;
    server.pause();
    run.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED, "the work is done");
    server.resume();
    assert!(layer.shutdown().drain(60 * SECOND).await.is_complete());
    assert_eq!(marks.send(&layer, "evt_2").await, DUPLICATE);
}

/// The statement waits in the server when its caller has long gone, and claims the event for nobody.
#[tokio::test]
async fn f11_t102_a_claim_that_comes_too_late_blocks_for_one_lease() {
    let (operator, runs) = (Marks::new().await, Runs::new());
    // One connection, which knows the statement: otherwise it would wait for its preparation, and claim nothing.
    let pool = connect(&operator.home, 1).await;
    let marks = Marks { store: Store::new(pool.clone()), pool, home: operator.home.clone(), runs };
    let layer = marks.layer(impatient());
    assert_eq!(marks.handle(&layer, "evt_0").await, HANDLED);
    let mut operator = operator.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE tower_webhook_events").execute(&mut *operator).await.unwrap();
    assert_eq!(marks.send(&layer, "evt_1").await.0, 503);
    operator.rollback().await.unwrap();
    let claimed = async {
        let rows = "SELECT count(*) FROM tower_webhook_events WHERE state = 'in_flight'";
        while sqlx::query_scalar::<_, i64>(rows).fetch_one(&marks.pool).await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within_a_minute(claimed).await;
    assert_eq!(marks.send(&layer, "evt_1").await, IN_FLIGHT);
    marks.expire().await;
    assert_eq!(marks.handle(&layer, "evt_1").await, HANDLED);
    assert_eq!(marks.runs.starts.count(), 2);
}

/// Columns that hold what their types allow, and this library never writes.
#[tokio::test]
async fn t100_garbage_in_a_row_is_an_error_and_never_new() {
    let garbage = [
        "SET state = ''",
        "SET state = 'DONE'",
        "SET ends_at = 'infinity'",
        "SET state = 'pending', fence = 9223372036854775807",
    ];
    for change in garbage {
        is_never_new(change, |told| told == (503, "store_unavailable")).await;
    }
}

/// The table is another application's.
#[tokio::test]
async fn t100_a_table_of_other_types_is_an_error_and_never_new() {
    let marks = Marks::new().await;
    let layer = marks.layer(timing());
    assert_eq!(marks.handle(&layer, "evt_1").await, HANDLED);
    for change in [
        "ALTER TABLE tower_webhook_events ALTER state TYPE bytea USING convert_to(state, 'UTF8')",
        "ALTER TABLE tower_webhook_events RENAME state TO status",
        "ALTER TABLE tower_webhook_events RENAME TO other",
    ] {
        sqlx::raw_sql(change).execute(&marks.pool).await.unwrap();
        assert_eq!(marks.send(&marks.layer(timing()), "evt_1").await.0, 503, "{change}");
    }
    assert_eq!(marks.runs.starts.count(), 1);
}
