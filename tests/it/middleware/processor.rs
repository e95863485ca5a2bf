//! Claim, dispatch and completion without HTTP.

use std::sync::Arc;

use tokio::time::{Instant, timeout};
use tower::{ServiceBuilder, ServiceExt as _};
use tower_webhook::dispatch::TakesAll;
use tower_webhook::testing::faulty::Operation;
use tower_webhook::{
    Accepted, Delivery, EventRouter, HandlerError, LruStore, Outcome, WebhookLayer, casapay, caspay, testing,
};

use crate::stage::{DUPLICATE, HANDLED, IN_FLIGHT, SECOND, Stage};
use crate::support::{Calls, accepted, casapay_body, caspay_body, from_caspay, secrets};

fn delivery(id: &str) -> Delivery {
    testing::delivery(&caspay::provider(), caspay_body(id)).unwrap()
}

/// Processes `evt_1`, whose handler ends as told.
async fn process(stage: &Stage, end: Result<(), HandlerError>) -> Outcome {
    let processor = stage.layer.processor();
    let (outcome, ()) = tokio::join!(processor.process(delivery("evt_1")), async {
        let run = stage.runs.next().await;
        match end {
            Ok(()) => run.succeed(),
            Err(error) => run.fail(error),
        }
    });
    outcome
}

#[tokio::test(start_paused = true)]
async fn shares_its_claims_with_http() {
    let stage = Stage::new();
    assert!(matches!(process(&stage, Ok(())).await, Outcome::Done));
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
    assert_eq!(stage.handle("evt_2").await, HANDLED);
    assert!(matches!(stage.layer.processor().process(delivery("evt_2")).await, Outcome::Duplicate));
    stage.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn is_busy_while_another_delivery_runs() {
    let stage = Stage::new();
    let (answer, run) = stage.begin("evt_1").await;
    let outcome = stage.layer.processor().process(delivery("evt_1")).await;
    assert!(matches!(outcome, Outcome::Busy { retry_after } if retry_after == 30 * SECOND), "{outcome:?}");
    assert!(!outcome.is_settled());
    run.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED);
}

#[tokio::test(start_paused = true)]
async fn an_error_comes_back_and_so_does_the_event() {
    let stage = Stage::new();
    let outcome = process(&stage, Err(HandlerError::retry("later"))).await;
    assert!(matches!(&outcome, Outcome::Failed(error) if error.to_string() == "later"), "{outcome:?}");
    assert!(!outcome.is_settled());
    assert!(matches!(process(&stage, Ok(())).await, Outcome::Done));
}

#[tokio::test(start_paused = true)]
async fn permanent_is_settled_only_by_a_hook() {
    let stage = Stage::new();
    let outcome = process(&stage, Err(HandlerError::permanent("closed"))).await;
    assert!(matches!(&outcome, Outcome::Failed(error) if error.is_permanent()), "{outcome:?}");
    assert!(!outcome.is_settled());

    let letters = Calls::default();
    let hook = letters.clone();
    let stage = Stage::with(|layer| {
        layer.with_dead_letter(move |_| {
            hook.add();
            async { Ok::<_, std::io::Error>(()) }
        })
    });
    let outcome = process(&stage, Err(HandlerError::permanent("closed"))).await;
    assert!(matches!(&outcome, Outcome::Permanent(_)) && outcome.is_settled(), "{outcome:?}");
    assert_eq!(letters.count(), 1);
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
}

#[tokio::test(start_paused = true)]
async fn dropped_midway_it_goes_on() {
    let stage = Stage::new();
    let processor = stage.layer.processor();
    let (dropped, run) =
        tokio::join!(timeout(SECOND, processor.process(delivery("evt_1"))), stage.runs.next());
    assert!(dropped.is_err());
    assert_eq!((stage.deliver("evt_1").await, stage.stats().moved()), (IN_FLIGHT, 1));
    run.succeed();
    stage.settled().await;
    assert!(matches!(processor.process(delivery("evt_1")).await, Outcome::Duplicate));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_handler_times_out() {
    let (stage, start) = (Stage::new(), Instant::now());
    let processor = stage.layer.processor();
    let (outcome, run) = tokio::join!(processor.process(delivery("evt_1")), stage.runs.next());
    assert!(matches!(&outcome, Outcome::Failed(error) if error.is_timeout()), "{outcome:?}");
    assert_eq!(start.elapsed(), 20 * SECOND, "no sender waits");
    run.dropped().await;
    assert_eq!(stage.deliver("evt_1").await, IN_FLIGHT);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_is_not_claimed() {
    let stage = Stage::with(|layer| layer.with_dispatch(EventRouter::new()));
    let outcome = stage.layer.processor().process(delivery("evt_1")).await;
    assert!(matches!(outcome, Outcome::Unhandled));
    assert_eq!(stage.claims(), 0);
}

/// A delivery that went through a queue is the same event.
#[tokio::test(start_paused = true)]
async fn a_delivery_survives_a_queue() {
    let stage = Stage::new();
    let stored = serde_json::to_vec(&delivery("evt_1")).unwrap();
    let restored = || serde_json::from_slice::<Delivery>(&stored).unwrap();
    let processor = stage.layer.processor();
    let (outcome, ()) =
        tokio::join!(processor.process(restored()), async { stage.runs.next().await.succeed() });
    assert!(matches!(outcome, Outcome::Done));
    assert!(matches!(processor.process(restored()).await, Outcome::Duplicate));
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
}

/// An attempt is judged by itself: that a handler began in an earlier one says nothing about this one.
#[tokio::test(start_paused = true)]
async fn an_earlier_attempt_does_not_keep_the_claim_of_a_later_one() {
    let stage = Stage::new();
    let shedding = ServiceBuilder::new().load_shed().concurrency_limit(1).into_inner();
    let layer = stage.layer.clone().with_dispatch(stage.runs.router().layer(shedding));
    let (processor, again) = (layer.processor(), delivery("evt_1"));
    let (outcome, ()) = tokio::join!(processor.process(again.clone()), async {
        stage.runs.next().await.fail(HandlerError::retry("later"));
    });
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");

    let other = tokio::spawn({
        let processor = processor.clone();
        async move { processor.process(delivery("evt_2")).await }
    });
    let run = stage.runs.next().await;
    let outcome = processor.process(again.clone()).await;
    assert!(matches!(outcome, Outcome::Busy { .. }), "shed: {outcome:?}");
    assert_eq!(stage.faults.calls(Operation::Release), 2);
    run.succeed();
    assert!(matches!(other.await.unwrap(), Outcome::Done));
    let (outcome, ()) = tokio::join!(processor.process(again), async { stage.runs.next().await.succeed() });
    assert!(matches!(outcome, Outcome::Done), "{outcome:?}");
}

/// A queue between receiver and worker, one store behind both: the worker has marks of its own.
#[tokio::test]
async fn a_stage_sets_a_worker_apart_from_its_receiver() {
    let store = Arc::new(LruStore::new(1_000));
    let base = || WebhookLayer::new(caspay::provider(), secrets()).unwrap().with_store(Arc::clone(&store));
    let (queue, mut queued) = tokio::sync::mpsc::unbounded_channel();
    let receiver = base().with_dispatch(TakesAll::new(tower::service_fn(move |delivery: Delivery| {
        let sent = queue.send(serde_json::to_string(&delivery).unwrap());
        async move { sent.map(|()| Outcome::Done) }
    })));
    let calls = Calls::default();
    let worker = base().with_dispatch(calls.router()).processor().with_stage("worker").unwrap();

    let service = receiver.into_service();
    for _ in ["stored", "recognised"] {
        let answer = service.clone().oneshot(from_caspay(caspay_body("evt_1"))).await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    let delivery: Delivery = serde_json::from_str(&queued.recv().await.unwrap()).unwrap();
    assert!(queued.try_recv().is_err(), "stored once");
    assert!(matches!(worker.process(delivery.clone()).await, Outcome::Done));
    assert!(matches!(worker.process(delivery.clone()).await, Outcome::Duplicate));
    assert_eq!(calls.count(), 1);
    worker.forget(&delivery).await.unwrap();
    assert!(matches!(worker.process(delivery).await, Outcome::Done));
    assert_eq!(calls.count(), 2);
    let answer = service.oneshot(from_caspay(caspay_body("evt_1"))).await.unwrap();
    assert_eq!(accepted(&answer), Some(Accepted::Duplicate), "the receiver's mark stays");
}

/// What a router's fallback would take without a look.
#[tokio::test]
async fn what_is_not_ours_to_read_is_not_settled() {
    let calls = Calls::default();
    let layer = WebhookLayer::new(caspay::provider(), secrets()).unwrap().with_dispatch(calls.router());
    let body = casapay_body("evt_1", "invoice.paid");
    let foreign = testing::delivery(&casapay::provider(), body).unwrap();
    let outcome = layer.processor().process(foreign).await;
    assert!(matches!(&outcome, Outcome::Failed(error) if error.is_unreadable()), "{outcome:?}");
    assert_eq!(calls.count(), 0);
}
