//! What any database must survive that keeps marks apart from the effect.
#![allow(dead_code, reason = "not every database needs all of it")]

use std::time::Duration;

use futures_util::future::join_all;
use sqlx::Pool;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;
use tower_webhook::{EventRouter, HandlerError, OnStoreFailure, Timing, WebhookLayer, caspay, testing};

use super::{Db, EXPIRE, Home, Store, connect, fresh};
use crate::stage::{
    DUPLICATE, HANDLED, IN_FLIGHT, Run, Runs, SECOND, Verdict, timing, verdict, within_a_minute,
};
use crate::support::{caspay_body, from_caspay, secrets};

type Layer = WebhookLayer<EventRouter, Store>;

/// A store, and handlers that end as the test says.
pub(crate) struct Marks {
    pub(crate) store: Store,
    pub(crate) pool: Pool<Db>,
    pub(crate) home: Home,
    pub(crate) runs: Runs,
}

/// For handlers that run into their timeout: as short as a test can wait, and no shorter than a machine stands still.
pub(crate) fn short() -> Timing {
    let millisecond = Duration::from_millis(1);
    let timing = timing().with_respond_by(1_000 * millisecond).with_handler_timeout(1_200 * millisecond);
    let timing = timing.with_dead_letter_timeout(100 * millisecond).with_store_timeout(600 * millisecond);
    timing.with_lease(20 * SECOND)
}

/// The defaults, but for a store, which has 600 ms.
pub(crate) fn impatient() -> Timing {
    timing().with_store_timeout(Duration::from_millis(600))
}

/// Changes the row of a done event by hand: whoever delivers the event is told what is expected, and nothing runs.
pub(crate) async fn is_never_new(change: &str, expected: fn(Verdict) -> bool) {
    let marks = Marks::new().await;
    assert_eq!(marks.handle(&marks.layer(timing()), "evt_1").await, HANDLED);
    let statement = sqlx::AssertSqlSafe(format!("UPDATE tower_webhook_events {change}"));
    sqlx::raw_sql(statement).execute(&marks.pool).await.unwrap();
    // Not even where a store that is down is done without: this one answers.
    for policy in [OnStoreFailure::Reject, OnStoreFailure::Process] {
        let layer = marks.layer(impatient()).with_on_store_failure(policy);
        let told = marks.send(&layer, "evt_1").await;
        assert!(expected(told), "{change}: {told:?}");
    }
    assert_eq!(marks.runs.starts.count(), 1, "{change}");
}

impl Marks {
    pub(crate) async fn new() -> Self {
        Self::open(fresh().await).await
    }

    pub(crate) async fn open(home: Home) -> Self {
        let marks = Self::at(home, Runs::new()).await;
        marks.store.migrate().await.unwrap();
        marks
    }

    /// Another process on the same marks.
    async fn another(&self) -> Self {
        Self::at(self.home.clone(), self.runs.clone()).await
    }

    async fn at(home: Home, runs: Runs) -> Self {
        let pool = connect(&home, 4).await;
        Self { store: Store::new(pool.clone()), pool, home, runs }
    }

    pub(crate) fn layer(&self, timing: Timing) -> Layer {
        let layer = WebhookLayer::new(caspay::provider(), secrets()).unwrap().with_timing(timing).unwrap();
        layer.with_store(self.store.clone()).with_dispatch(self.runs.router())
    }

    pub(crate) async fn send(&self, layer: &Layer, id: &str) -> Verdict {
        self.post(layer, id).await.unwrap()
    }

    pub(crate) fn post(&self, layer: &Layer, id: &str) -> JoinHandle<Verdict> {
        let (layer, request) = (layer.clone(), from_caspay(caspay_body(id)));
        tokio::spawn(async move { verdict(&layer.into_service().oneshot(request).await.unwrap()) })
    }

    pub(crate) async fn begin(&self, layer: &Layer, id: &str) -> (JoinHandle<Verdict>, Run) {
        let mut answer = self.post(layer, id);
        let run = tokio::select! {
            run = self.runs.next() => run,
            early = &mut answer => panic!("answered {early:?} without a handler"),
        };
        (answer, run)
    }

    pub(crate) async fn handle(&self, layer: &Layer, id: &str) -> Verdict {
        let (answer, run) = self.begin(layer, id).await;
        run.succeed();
        answer.await.unwrap()
    }

    /// Every lease ends, as it does for a holder that stands still for too long.
    pub(crate) async fn expire(&self) {
        sqlx::raw_sql(EXPIRE).execute(&self.pool).await.unwrap();
    }
}

#[tokio::test]
async fn f03_a_holder_that_vanishes_blocks_for_one_lease() {
    let marks = Marks::new().await;
    let (answer, run) = marks.begin(&marks.layer(short()), "evt_1").await;
    let other = marks.another().await;
    assert_eq!(other.send(&other.layer(timing()), "evt_1").await, IN_FLIGHT);
    // Nothing is released by a handler that ran into its timeout.
    assert_eq!(answer.await.unwrap().0, 503);
    run.dropped().await;
    assert_eq!(other.send(&other.layer(timing()), "evt_1").await, IN_FLIGHT);
    marks.expire().await;
    assert_eq!(other.handle(&other.layer(timing()), "evt_1").await, HANDLED);
    assert_eq!(marks.send(&marks.layer(timing()), "evt_1").await, DUPLICATE);
}

#[tokio::test]
async fn f12_a_row_that_vanishes_before_the_completion_is_written_anew() {
    let marks = Marks::new().await;
    let layer = marks.layer(timing());
    let (answer, run) = marks.begin(&layer, "evt_1").await;
    sqlx::raw_sql("DELETE FROM tower_webhook_events").execute(&marks.pool).await.unwrap();
    run.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED);
    assert_eq!(layer.stats().leases_lost(), 1, "another delivery may have run meanwhile");
    let other = marks.another().await;
    assert_eq!(other.send(&other.layer(timing()), "evt_1").await, DUPLICATE);
}

/// A table that lost its last marks in a failover runs their events again, and says so to nobody: that is at least once.
#[tokio::test]
async fn f12_a_mark_that_is_lost_runs_again() {
    let marks = Marks::new().await;
    assert_eq!(marks.handle(&marks.layer(timing()), "evt_1").await, HANDLED);
    sqlx::raw_sql("DELETE FROM tower_webhook_events").execute(&marks.pool).await.unwrap();
    assert_eq!(marks.handle(&marks.layer(timing()), "evt_1").await, HANDLED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f14_f15_a_storm_starts_one_handler() {
    let marks = Marks::new().await;
    let mut processes = Vec::new();
    for _ in 0..4 {
        processes.push(marks.another().await);
    }
    let patient = || timing().with_respond_by(20 * SECOND);
    let layers: Vec<_> = processes.iter().map(|process| process.layer(patient())).collect();
    for id in ["evt_1", "evt_2", "evt_3"] {
        let posts: Vec<_> = (0..64).map(|n| processes[n % 4].post(&layers[n % 4], id)).collect();
        let run = marks.runs.next().await;
        let others = async {
            let (mut busy, mut left) = (0, posts);
            while busy < 63 {
                let (answer, _, rest) = futures_util::future::select_all(left).await;
                assert_eq!(answer.unwrap(), IN_FLIGHT, "never 200 before it is done");
                (busy, left) = (busy + 1, rest);
            }
            left
        };
        let left = within_a_minute(others).await;
        run.succeed();
        assert_eq!(join_all(left).await.pop().unwrap().unwrap(), HANDLED);
        assert_eq!(processes[0].send(&layers[0], id).await, DUPLICATE);
    }
    assert_eq!((marks.runs.starts.count(), marks.runs.peak()), (3, 1));
}

#[tokio::test]
async fn f21_a_holder_that_lost_its_lease_is_told_so() {
    let (marks, other) = two().await;
    let (first, second) = (marks.layer(timing()), other.layer(timing()));
    let (answer, old) = marks.begin(&first, "evt_1").await;
    marks.expire().await;
    assert_eq!(other.handle(&second, "evt_1").await, HANDLED);
    old.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED, "the work is done");
    assert_eq!((lost(&first), lost(&second)), (1, 0), "it ran twice, and that is counted");
    assert_eq!(other.send(&second, "evt_1").await, DUPLICATE);
}

fn lost(layer: &Layer) -> u64 {
    layer.stats().leases_lost()
}

async fn two() -> (Marks, Marks) {
    let marks = Marks::new().await;
    let other = marks.another().await;
    (marks, other)
}

#[tokio::test]
async fn f22_a_late_release_does_not_touch_the_next_lease() {
    let (marks, other) = two().await;
    let (first, second) = (marks.layer(timing()), other.layer(timing()));
    let (answer, old) = marks.begin(&first, "evt_1").await;
    marks.expire().await;
    let (taken_over, new) = other.begin(&second, "evt_1").await;
    old.fail(HandlerError::retry("too late"));
    assert_eq!(answer.await.unwrap().0, 503);
    assert_eq!(marks.send(&first, "evt_1").await, IN_FLIGHT);
    new.succeed();
    assert_eq!((taken_over.await.unwrap(), lost(&second)), (HANDLED, 0));
    assert_eq!(marks.send(&first, "evt_1").await, DUPLICATE);
}

#[tokio::test]
async fn f23_a_late_completion_is_final() {
    let (marks, other) = two().await;
    let (first, second) = (marks.layer(timing()), other.layer(timing()));
    let (answer, old) = marks.begin(&first, "evt_1").await;
    marks.expire().await;
    let (taken_over, new) = other.begin(&second, "evt_1").await;
    old.succeed();
    assert_eq!((answer.await.unwrap(), lost(&first)), (HANDLED, 1));
    assert_eq!(marks.send(&first, "evt_1").await, DUPLICATE, "while the second one still runs");
    new.fail(HandlerError::retry("no"));
    assert_eq!(taken_over.await.unwrap().0, 503);
    assert_eq!(marks.send(&first, "evt_1").await, DUPLICATE, "no third run");
    assert_eq!(marks.runs.starts.count(), 2);
}

#[test]
fn f36_a_runtime_that_ends_leaves_a_lease_to_end() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let first = runtime();
    let (marks, run) = first.block_on(async {
        let marks = Marks::new().await;
        let (_, run) = marks.begin(&marks.layer(timing()), "evt_1").await;
        (marks, run)
    });
    first.shutdown_timeout(10 * SECOND);
    let home = marks.home.clone();
    drop((marks, run));
    runtime().block_on(async {
        let marks = Marks::at(home, Runs::new()).await;
        let layer = marks.layer(timing());
        assert_eq!(marks.send(&layer, "evt_1").await, IN_FLIGHT);
        marks.expire().await;
        assert_eq!(within_a_minute(marks.handle(&layer, "evt_1")).await, HANDLED);
    });
}

#[tokio::test]
async fn f39_only_the_first_retry_after_the_retention_runs() {
    let (marks, other) = two().await;
    let (first, second) = (marks.layer(timing()), other.layer(timing()));
    assert_eq!(marks.handle(&first, "evt_1").await, HANDLED);
    marks.expire().await;
    assert_eq!(marks.handle(&first, "evt_1").await, HANDLED);
    assert_eq!(other.send(&second, "evt_1").await, DUPLICATE);
    assert_eq!(marks.runs.starts.count(), 2);
}

#[tokio::test]
async fn f48_what_an_operator_forgets_runs_again() {
    let (marks, other) = two().await;
    let layer = marks.layer(timing());
    assert_eq!(marks.handle(&layer, "evt_1").await, HANDLED);
    assert_eq!(other.send(&other.layer(timing()), "evt_1").await, DUPLICATE, "a resend does not run");
    let delivery = testing::delivery(&caspay::provider(), caspay_body("evt_1")).unwrap();
    other.layer(timing()).processor().forget(&delivery).await.unwrap();
    assert_eq!(marks.handle(&layer, "evt_1").await, HANDLED);
    assert_eq!(marks.send(&layer, "evt_1").await, DUPLICATE);
}

/// t080 to t084, t101: whatever a sender, or an operator, puts into names is data.
#[tokio::test]
async fn t080_t081_t082_t083_t101_every_id_is_an_event_of_its_own() {
    let marks = Marks::new().await;
    let long = "x".repeat(10_000);
    let longer = "x".repeat(10_001);
    let events = [
        ("a", "b", "c"),
        ("ab", "b", "c"),
        ("a", "bb", "c"),
        ("a", "b", "bc"),
        ("a", "bc", "c"),
        ("a", "b:c", "d"),
        ("a", "b", "c:d"),
        ("a", "b", "café"),
        ("a", "b", r"cafe\u0301"),
        ("a", "b", r"nul\u0000"),
        ("a", "b", r"nul\u0000\u0000"),
        ("a", "b", r"\u001b[2J\r\n"),
        ("a", "b", "😀"),
        ("a", "b", "'; DROP TABLE tower_webhook_events; --"),
        ("a", "b'); DELETE FROM tower_webhook_events; --", "$1"),
        ("a", "$1", "%s"),
        ("a", "?1", "{0}"),
        ("a", "b", r"\\"),
        ("a", "b", &long),
        ("a", "b", &longer),
    ];
    let layer_of = |endpoint: &str| marks.layer(timing()).with_endpoint(endpoint).unwrap();
    for (round, expected) in [HANDLED, DUPLICATE].into_iter().enumerate() {
        for (endpoint, event_type, id) in events {
            let body = format!(r#"{{"id":"{id}","type":"{event_type}","data":{{}}}}"#);
            let service = layer_of(endpoint).into_service();
            let mut answer =
                tokio::spawn(async move { verdict(&service.oneshot(from_caspay(body)).await.unwrap()) });
            let answered = tokio::select! {
                run = marks.runs.next() => {
                    run.succeed();
                    (&mut answer).await
                }
                early = &mut answer => early,
            };
            let shown: String = id.chars().take(50).collect();
            assert_eq!(answered.unwrap(), expected, "{round} {endpoint} {event_type} {shown}");
        }
    }
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tower_webhook_events").fetch_one(&marks.pool).await.unwrap();
    assert_eq!(usize::try_from(rows).unwrap(), events.len());
    assert_eq!(marks.runs.starts.count(), events.len());
}
