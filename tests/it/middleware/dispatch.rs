//! Tower's middleware around the dispatch: its errors are 503, and the claim is given back unless a handler began.

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tower::buffer::BufferLayer;
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;
use tower::{Service as _, ServiceBuilder, ServiceExt as _};
use tower_webhook::HandlerError;
use tower_webhook::dispatch::Dispatch;
use tower_webhook::testing::faulty::{Fault, Operation};

use crate::stage::{DUPLICATE, HANDLED, IN_FLIGHT, RESPOND_BY_PASSED, Run, SECOND, Stage, Verdict, verdict};
use crate::support::{caspay_body, from_caspay};

const REFUSED: Verdict = (503, "dispatch_refused");

/// Delivers through another dispatch than the stage's own, under the same store and limits.
async fn deliver<D: Dispatch + tower_webhook::Handles>(stage: &Stage, dispatch: &D, id: &str) -> Verdict {
    let layer = stage.layer.clone().with_dispatch(dispatch.clone());
    verdict(&layer.into_service().oneshot(from_caspay(caspay_body(id))).await.unwrap())
}

/// The same in a task; returns when the handler runs.
async fn begin<D>(stage: &Stage, dispatch: &D, id: &str) -> (JoinHandle<Verdict>, Run)
where
    D: Dispatch + tower_webhook::Handles,
{
    let layer = stage.layer.clone().with_dispatch(dispatch.clone());
    let answer = layer.into_service().call(from_caspay(caspay_body(id)));
    (tokio::spawn(async { verdict(&answer.await.unwrap()) }), stage.runs.next().await)
}

#[tokio::test(start_paused = true)]
async fn every_middleware_lets_an_event_through() {
    let stage = Stage::new();
    let router = || crate::support::Calls::default().router();
    macro_rules! lets_through {
        ($id:literal, $layer:expr) => {
            let dispatch = router().layer($layer);
            assert_eq!(deliver(&stage, &dispatch, $id).await, HANDLED, $id);
            assert_eq!(deliver(&stage, &dispatch, $id).await, DUPLICATE, $id);
        };
    }
    lets_through!("limit", ConcurrencyLimitLayer::new(1));
    lets_through!("buffer", BufferLayer::new(1));
    lets_through!("shed", LoadShedLayer::new());
    lets_through!("timeout", TimeoutLayer::new(SECOND));
    let stack = ServiceBuilder::new().load_shed().buffer(4).timeout(SECOND).concurrency_limit(1);
    lets_through!("stack", stack.into_inner());
    stage.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_cut_off_keeps_its_lease() {
    let (stage, start) = (Stage::new(), Instant::now());
    let dispatch = stage.runs.router().layer(TimeoutLayer::new(SECOND));
    let (answer, run) = begin(&stage, &dispatch, "evt_1").await;
    assert_eq!(answer.await.unwrap(), REFUSED);
    run.dropped().await;
    assert_eq!(start.elapsed(), SECOND);
    assert_eq!(
        (deliver(&stage, &dispatch, "evt_1").await, stage.faults.calls(Operation::Release)),
        (IN_FLIGHT, 0)
    );
    sleep_until(start + 30 * SECOND).await;
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    assert_eq!(stage.runs.peak(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_shed_is_given_back() {
    let stage = Stage::new();
    let shedding = ServiceBuilder::new().load_shed().concurrency_limit(1).into_inner();
    let dispatch = stage.runs.router().layer(shedding);
    let (first, run) = begin(&stage, &dispatch, "evt_1").await;
    assert_eq!(deliver(&stage, &dispatch, "evt_2").await, REFUSED);
    assert_eq!((stage.store.stats().in_flight(), stage.faults.calls(Operation::Release)), (1, 1));
    run.succeed();
    assert_eq!(first.await.unwrap(), HANDLED);
    let (second, run) = begin(&stage, &dispatch, "evt_2").await;
    run.succeed();
    assert_eq!(second.await.unwrap(), HANDLED);
    stage.assert_idle();
}

/// The timeout strikes while the event waits in a queue of the dispatch: no handler has begun.
#[tokio::test(start_paused = true)]
async fn an_event_that_times_out_in_a_queue_is_given_back() {
    let stage = Stage::new();
    let queued = ServiceBuilder::new().timeout(2 * SECOND).buffer(4).concurrency_limit(1).into_inner();
    let dispatch = stage.runs.router().layer(queued);
    let (first, hangs) = begin(&stage, &dispatch, "evt_1").await;
    assert_eq!(deliver(&stage, &dispatch, "evt_2").await, REFUSED);
    assert_eq!(first.await.unwrap(), REFUSED);
    hangs.dropped().await;
    assert_eq!(stage.store.stats().in_flight(), 1, "of the two, the one whose handler had begun");
    assert_eq!(stage.faults.calls(Operation::Release), 1);
    assert_eq!(stage.handle("evt_2").await, HANDLED);
}

/// A handler moved into a task holds the permit of the dispatch until it ends.
#[tokio::test(start_paused = true)]
async fn a_moved_handler_keeps_its_permit() {
    let stage = Stage::new();
    let dispatch = stage.runs.router().layer(ConcurrencyLimitLayer::new(1));
    let (first, run) = begin(&stage, &dispatch, "evt_1").await;
    assert_eq!(first.await.unwrap(), RESPOND_BY_PASSED);
    assert_eq!(deliver(&stage, &dispatch, "evt_2").await, REFUSED, "never ready");
    run.succeed();
    stage.settled().await;
    let (second, run) = begin(&stage, &dispatch, "evt_2").await;
    run.succeed();
    assert_eq!(second.await.unwrap(), HANDLED);
}

/// A concurrency limit around the layer would not see them.
#[tokio::test(start_paused = true)]
async fn max_in_flight_counts_moved_handlers() {
    let stage = Stage::with(|layer| layer.with_max_in_flight(1).unwrap());
    let (first, run) = stage.begin("evt_1").await;
    assert_eq!(stage.deliver("evt_2").await, (503, "at_capacity"));
    assert_eq!(first.await.unwrap(), RESPOND_BY_PASSED);
    assert_eq!((stage.deliver("evt_2").await, stage.claims()), ((503, "at_capacity"), 1));
    run.fail(HandlerError::retry("no"));
    stage.settled().await;
    assert_eq!(stage.handle("evt_2").await, HANDLED);
}

/// However a handler ends, its permit comes back.
#[tokio::test(start_paused = true)]
async fn no_ending_leaks_a_permit() {
    let stage = Stage::with(|layer| layer.with_max_in_flight(1).unwrap());
    assert_eq!(stage.fail("evt_1", HandlerError::retry("no")).await.0, 503);
    assert_eq!(stage.fail("evt_1", HandlerError::permanent("no")).await.0, 500);
    for fault in [Fault::Unavailable, Fault::Hang] {
        stage.faults.next(Operation::Claim, 1, fault);
        assert_eq!(stage.deliver("evt_1").await.0, 503);
    }
    stage.faults.next(Operation::Complete, 1, Fault::Unavailable);
    assert_eq!(stage.handle("evt_2").await, HANDLED);
    assert_eq!(stage.deliver("evt_3").await, (503, "at_capacity"), "a completion that is pending counts");
    stage.settled().await;
    let (answer, run) = stage.begin("evt_3").await;
    assert_eq!(answer.await.unwrap(), RESPOND_BY_PASSED);
    run.dropped().await;
    assert_eq!(stage.handle("evt_4").await, HANDLED);
    assert_eq!(stage.deliver("evt_4").await, DUPLICATE);
    assert_eq!(stage.handle("evt_5").await, HANDLED);
}
