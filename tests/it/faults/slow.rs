//! Senders that come all at once, give up early, or come again while a handler runs.

use std::sync::Arc;

use tokio::sync::{Barrier, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use tower::ServiceExt as _;
use tower_webhook::testing::faulty::{Fault, Operation};
use tower_webhook::{Delivery, EventRouter, HandlerError, caspay, testing};

use crate::stage::{DUPLICATE, HANDLED, IN_FLIGHT, RESPOND_BY_PASSED, SECOND, Stage, timing, verdict};
use crate::support::{Calls, caspay_body, from_caspay};

/// Delivers as a sender that waits for `patience` and then hangs up; `None` where it did.
async fn impatient(stage: &Stage, id: &str, patience: u32) -> Option<(u16, &'static str)> {
    let service = stage.layer.clone().into_service();
    let answer = timeout(patience * SECOND, service.oneshot(from_caspay(caspay_body(id)))).await;
    answer.ok().map(|answer| verdict(&answer.unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f14_a_storm_of_one_event_runs_one_handler() {
    const STORM: usize = 64;
    let stage = Arc::new(Stage::with(|layer| {
        // A real clock: no answer may come from it.
        let patient = timing().with_respond_by(600 * SECOND).with_handler_timeout(600 * SECOND);
        layer.with_timing(patient.with_lease(700 * SECOND)).unwrap()
    }));
    let (barrier, (answers, mut answered)) = (Arc::new(Barrier::new(STORM)), mpsc::unbounded_channel());
    for _ in 0..STORM {
        let (stage, barrier, answers) = (Arc::clone(&stage), Arc::clone(&barrier), answers.clone());
        tokio::spawn(async move {
            barrier.wait().await;
            answers.send(stage.deliver("evt_1").await).unwrap();
        });
    }
    let run = stage.runs.next().await;
    for _ in 1..STORM {
        assert_eq!(answered.recv().await, Some(IN_FLIGHT), "200 before the event is done");
    }
    run.succeed();
    assert_eq!(answered.recv().await, Some(HANDLED));
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
    assert_eq!(stage.runs.starts.count(), 1);
    stage.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn f16_a_first_attempt_that_fails_late_leaves_the_event_to_a_retry() {
    let (stage, start) = (Stage::new(), Instant::now());
    let (first, run) = stage.begin("evt_1").await;
    assert_eq!(first.await.unwrap(), RESPOND_BY_PASSED);
    sleep_until(start + 5 * SECOND).await;
    assert_eq!(stage.deliver("evt_1").await, IN_FLIGHT);
    sleep_until(start + 6 * SECOND).await;
    run.fail(HandlerError::retry("the ledger is locked"));
    stage.settled().await;
    stage.assert_idle();
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    assert_eq!((stage.runs.starts.count(), stage.runs.effects.count()), (2, 1));
}

/// A receiver that answers later than its sender waits.
fn slower_than_the_sender() -> Stage {
    Stage::with(|layer| layer.with_timing(timing().with_respond_by(20 * SECOND)).unwrap())
}

#[tokio::test(start_paused = true)]
async fn f17_a_sender_that_hangs_up_first_finds_the_event_done() {
    let (stage, start) = (slower_than_the_sender(), Instant::now());
    let hung_up = impatient(&stage, "evt_1", 5);
    let (hung_up, run) = tokio::join!(hung_up, stage.runs.next());
    assert_eq!(hung_up, None);
    sleep_until(start + 6 * SECOND).await;
    run.succeed();
    stage.settled().await;
    assert_eq!(impatient(&stage, "evt_1", 5).await, Some(DUPLICATE));
    assert_eq!((stage.runs.starts.count(), stage.runs.effects.count()), (1, 1));
    assert_eq!(stage.stats().moved(), 1);
    stage.assert_idle();
}

/// The same handler and the same sender, without the layer: every attempt is cut off, for ever.
#[tokio::test(start_paused = true)]
async fn f17_control_a_handler_that_is_dropped_on_disconnect_never_ends() {
    let (starts, effects) = (Calls::default(), Calls::default());
    let (begun, done) = (starts.clone(), effects.clone());
    let events = EventRouter::new().fallback(move |_: Delivery| {
        let (begun, done) = (begun.clone(), done.clone());
        async move {
            begun.add();
            tokio::time::sleep(6 * SECOND).await;
            done.add();
        }
    });
    for _ in 0..5 {
        let delivery = testing::delivery(&caspay::provider(), caspay_body("evt_1")).unwrap();
        assert!(timeout(5 * SECOND, events.clone().oneshot(delivery)).await.is_err());
        tokio::time::sleep(60 * SECOND).await;
    }
    assert_eq!((starts.count(), effects.count()), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn f18_respond_by_answers_and_the_handler_goes_on() {
    let stage = Stage::with(|layer| {
        let timing = timing().with_handler_timeout(40 * SECOND).with_lease(60 * SECOND);
        layer.with_timing(timing).unwrap()
    });
    let start = Instant::now();
    let (first, run) = stage.begin("evt_1").await;
    assert_eq!(first.await.unwrap(), RESPOND_BY_PASSED);
    assert_eq!(start.elapsed(), 4 * SECOND);
    assert_eq!((stage.stats().moved(), stage.stats().in_flight()), (1, 1));
    sleep_until(start + 30 * SECOND).await;
    assert_eq!(stage.deliver("evt_1").await, IN_FLIGHT);
    run.succeed();
    stage.settled().await;
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
    assert_eq!(stage.runs.effects.count(), 1);
    stage.assert_idle();
}

/// `respond_by` counts from the request's head: what the claim takes is gone for the handler.
#[tokio::test(start_paused = true)]
async fn respond_by_spans_claim_and_handler() {
    let (stage, start) = (Stage::new(), Instant::now());
    stage.faults.next(Operation::Claim, 1, Fault::Delay(SECOND + SECOND / 2));
    let (first, run) = stage.begin("evt_1").await;
    assert_eq!(start.elapsed(), SECOND + SECOND / 2);
    assert_eq!(first.await.unwrap(), RESPOND_BY_PASSED);
    assert_eq!(start.elapsed(), 4 * SECOND);
    run.succeed();
    stage.settled().await;
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
}

#[tokio::test(start_paused = true)]
async fn f25_a_disconnect_while_the_claim_is_awaited_orphans_nothing() {
    let stage = slower_than_the_sender();
    stage.faults.next(Operation::Claim, 1, Fault::Delay(2 * SECOND - SECOND / 4));
    assert_eq!(impatient(&stage, "evt_1", 1).await, None);
    assert_eq!((stage.claims(), stage.runs.starts.count()), (1, 0));
    stage.runs.next().await.succeed();
    stage.settled().await;
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
    stage.assert_idle();
}

/// A sender that gives up before anything is claimed leaves nothing, not even a task.
#[tokio::test(start_paused = true)]
async fn f24_a_disconnect_during_the_body_claims_nothing() {
    let stage = Stage::with(|layer| layer.with_max_unverified_in_flight(1).unwrap());
    let never = http_body_util::StreamBody::new(futures_util::stream::pending::<
        Result<http_body::Frame<bytes::Bytes>, std::convert::Infallible>,
    >());
    let request = from_caspay(caspay_body("evt_1")).map(|_| never);
    let service = stage.layer.clone().into_service();
    assert!(timeout(SECOND, service.oneshot(request)).await.is_err());
    assert_eq!((stage.claims(), stage.stats().macs(), stage.stats().moved()), (0, 0, 0));
    assert_eq!(stage.handle("evt_1").await, HANDLED, "the permit to read came back");
    stage.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn f40_events_arrive_in_any_order() {
    let stage = Stage::new();
    let (paid, run) = stage.begin("evt_2").await;
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    run.succeed();
    assert_eq!(paid.await.unwrap(), HANDLED);
    assert_eq!(stage.runs.effects.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn f48_an_operator_lets_a_done_event_run_again() {
    let stage = Stage::new();
    let processor = stage.layer.processor();
    let delivery = testing::delivery(&caspay::provider(), caspay_body("evt_1")).unwrap();
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
    processor.forget(&delivery).await.unwrap();
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);

    stage.faults.next(Operation::Forget, 1, Fault::Unavailable);
    assert!(processor.forget(&delivery).await.unwrap_err().is_unavailable());
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
}

/// Forgetting an event takes nothing from the handler that runs.
#[tokio::test(start_paused = true)]
async fn f48_forgetting_an_event_in_flight_changes_nothing() {
    let stage = Stage::new();
    let delivery = testing::delivery(&caspay::provider(), caspay_body("evt_1")).unwrap();
    let (answer, run) = stage.begin("evt_1").await;
    stage.layer.processor().forget(&delivery).await.unwrap();
    assert_eq!(stage.deliver("evt_1").await, IN_FLIGHT);
    run.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED);
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
}
