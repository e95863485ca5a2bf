//! A graceful shutdown: what is running ends, what cannot end is given back.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tower_webhook::HandlerError;
use tower_webhook::testing::faulty::{Fault, Operation};

use crate::stage::{DUPLICATE, HANDLED, RESPOND_BY_PASSED, SECOND, Stage};

/// Starts handlers that outlive their request.
async fn outliving<const N: usize>(stage: &Stage) -> [crate::stage::Run; N] {
    let mut runs = Vec::new();
    for n in 0..N {
        let (answer, run) = stage.begin(&format!("evt_{n}")).await;
        assert_eq!(answer.await.unwrap(), RESPOND_BY_PASSED);
        runs.push(run);
    }
    assert_eq!(stage.layer.shutdown().pending(), N);
    runs.try_into().ok().unwrap()
}

#[tokio::test(start_paused = true)]
async fn f34_a_drain_waits_for_handlers_that_outlived_their_request() {
    let stage = Stage::new();
    let [run] = outliving(&stage).await;
    let start = Instant::now();
    let drain = tokio::spawn({
        let shutdown = stage.layer.shutdown();
        async move { shutdown.drain(10 * SECOND).await }
    });
    sleep_until(start + 5 * SECOND).await;
    assert!(!drain.is_finished());
    run.succeed();
    assert!(drain.await.unwrap().is_complete());
    assert_eq!(start.elapsed(), 5 * SECOND);
    assert_eq!(stage.deliver("evt_0").await, DUPLICATE);
    stage.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn f34_at_the_deadline_the_rest_is_given_back() {
    let stage = Stage::new();
    let [done, first, second] = outliving(&stage).await;
    done.succeed();
    let start = Instant::now();
    let drained = stage.layer.shutdown().drain(2 * SECOND).await;
    assert_eq!((drained.stopped(), drained.is_complete()), (2, false));
    assert_eq!(start.elapsed(), 2 * SECOND, "no grace is needed");
    first.dropped().await;
    second.dropped().await;
    stage.assert_idle();
    assert_eq!(stage.faults.calls(Operation::Release), 2);

    let next = stage.layer.clone();
    assert_eq!(stage.deliver("evt_0").await, DUPLICATE);
    assert_eq!(next.stats().leases_lost(), 0);
}

/// After the stop a handler that begins nevertheless is stopped as well, and its claim given back.
#[tokio::test(start_paused = true)]
async fn f34_nothing_runs_after_the_deadline() {
    let stage = Stage::new();
    let [_hangs] = outliving(&stage).await;
    let _ = stage.layer.shutdown().drain(Duration::ZERO).await;
    assert_eq!(stage.deliver("evt_9").await, (503, "shutting_down"));
    assert_eq!(stage.runs.starts.count(), 1);
    stage.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn f34_a_store_that_hangs_delays_the_end_by_half_a_second() {
    let stage = Stage::new();
    let [_hangs] = outliving(&stage).await;
    stage.faults.always(Operation::Release, Fault::Hang);
    let start = Instant::now();
    assert_eq!(stage.layer.shutdown().drain(2 * SECOND).await.stopped(), 1);
    assert_eq!(start.elapsed(), 2 * SECOND + SECOND / 2);
}

/// A completion that the store refused gets its last chance at the deadline.
#[tokio::test(start_paused = true)]
async fn f34_a_pending_completion_is_tried_once_more() {
    let stage = Stage::new();
    stage.faults.next(Operation::Complete, 5, Fault::Unavailable);
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    let start = Instant::now();
    // Tried at 0.25, 0.75, 1.75 and 3.75 s, and next at 7.75 s.
    assert_eq!(stage.layer.shutdown().drain(4 * SECOND).await.stopped(), 1);
    assert_eq!(start.elapsed(), 4 * SECOND);
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
    stage.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn f34_nothing_to_drain_takes_no_time() {
    let stage = Stage::new();
    assert_eq!(stage.fail("evt_1", HandlerError::retry("no")).await, (503, "handler_failed"));
    let start = Instant::now();
    assert!(stage.layer.shutdown().drain(Duration::MAX).await.is_complete());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// Without a drain the runtime ends what runs; it does not hang, and the lease runs out.
#[test]
fn f36_a_runtime_that_is_dropped_drops_its_handlers() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    let stage = Stage::new();
    let run = {
        let first = runtime();
        let [run] = first.block_on(outliving::<1>(&stage));
        run
    };
    assert_eq!(stage.layer.shutdown().pending(), 0);
    assert_eq!(stage.stats().in_flight(), 0);
    assert_eq!(stage.store.stats().in_flight(), 1, "the claim is left to its lease");
    runtime().block_on(run.dropped());
}

/// Dropped where no runtime is, a running handler has nowhere to go: it ends, and its lease runs out.
#[test]
fn f36_a_request_dropped_outside_of_a_runtime_ends_quietly() {
    use crate::support::{caspay_body, from_caspay};
    use tower::Service as _;

    let stage = Stage::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut answer = Box::pin(stage.layer.clone().into_service().call(from_caspay(caspay_body("evt_1"))));
    runtime.block_on(async {
        tokio::select! {
            _ = &mut answer => panic!("the handler waits"),
            _run = stage.runs.next() => {}
        }
    });
    drop(answer);
    assert_eq!((stage.stats().in_flight(), stage.layer.shutdown().pending()), (0, 0));
    assert_eq!(stage.store.stats().in_flight(), 1);
}
