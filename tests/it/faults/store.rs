//! A store that is down, slow or broken, at each of its operations.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tower_webhook::testing::faulty::{Fault, Operation};
use tower_webhook::{HandlerError, OnStoreFailure, Provider, Retries, SignatureScheme, WebhookLayer, caspay};

use crate::stage::{DUPLICATE, HANDLED, IN_FLIGHT, RESPOND_BY_PASSED, SECOND, Stage, Verdict};
use crate::support::{caspay_body, from_caspay, secrets};

const UNAVAILABLE: Verdict = (503, "store_unavailable");
const TOO_SLOW: Verdict = (503, "store_timeout");
const FAILED: Verdict = (503, "handler_failed");

#[tokio::test(start_paused = true)]
async fn f08_a_store_that_is_down_at_the_claim_runs_nothing() {
    let stage = Stage::new();
    stage.faults.always(Operation::Claim, Fault::Unavailable);
    assert_eq!(stage.deliver("evt_1").await, UNAVAILABLE);
    assert_eq!((stage.runs.starts.count(), stage.stats().store_failures()), (0, 1));
    stage.faults.heal();
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    stage.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn f08_a_store_that_panics_at_the_claim_counts_as_down() {
    let stage = Stage::new();
    stage.faults.next(Operation::Claim, 1, Fault::Panic);
    assert_eq!(stage.deliver("evt_1").await, UNAVAILABLE);
    assert_eq!(stage.handle("evt_1").await, HANDLED);
}

/// The claim was made, but nobody knows: it holds until its lease ends, no longer.
#[tokio::test(start_paused = true)]
async fn f08_a_claim_whose_answer_is_lost_blocks_for_one_lease() {
    let (stage, start) = (Stage::new(), Instant::now());
    stage.faults.next(Operation::Claim, 1, Fault::AnswerLost);
    assert_eq!(stage.deliver("evt_1").await, UNAVAILABLE);
    assert_eq!(stage.deliver("evt_1").await, IN_FLIGHT);
    sleep_until(start + 30 * SECOND).await;
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    assert_eq!(stage.runs.starts.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn f08_process_runs_without_a_claim() {
    let stage = Stage::with(|layer| layer.with_on_store_failure(OnStoreFailure::Process));
    for (fault, runs) in [(Fault::Unavailable, 1), (Fault::Panic, 2), (Fault::Hang, 3)] {
        stage.faults.next(Operation::Claim, 1, fault);
        assert_eq!(stage.handle("evt_1").await, HANDLED, "{fault:?}");
        assert_eq!((stage.runs.starts.count(), stage.stats().without_claim()), (runs, runs as u64));
    }
    let others = [Operation::Complete, Operation::Release].map(|operation| stage.faults.calls(operation));
    assert_eq!(others, [0, 0], "there is nothing to complete");
    assert_eq!(stage.fail_without_claim("evt_1").await, FAILED);
    assert_eq!(stage.handle("evt_1").await, HANDLED, "claimed again once the store is back");
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
}

impl Stage {
    async fn fail_without_claim(&self, id: &str) -> Verdict {
        self.faults.next(Operation::Claim, 1, Fault::Unavailable);
        self.fail(id, HandlerError::retry("no")).await
    }
}

/// A sender that never comes again would lose the event to a 503.
#[tokio::test(start_paused = true)]
async fn f08_process_is_the_default_where_nothing_is_redelivered() {
    use tower::ServiceExt as _;
    use tower_webhook::testing::{SignedRequest, faulty::FaultyStore};
    use tower_webhook::{Envelope, LruStore};

    let scheme = SignatureScheme::hmac_sha256("x-caspay-signature");
    let envelope = Envelope::json("/id").with_payload("/data");
    let acme = Provider::builder("acme").signature(scheme).envelope(envelope).retries(Retries::Never);
    let (acme, calls) = (acme.build().unwrap(), crate::support::Calls::default());
    let request = SignedRequest::new(&acme, &crate::support::secret(), caspay_body("evt_1")).build();
    let store = FaultyStore::new(LruStore::new(10));
    store.faults().always(Operation::Claim, Fault::Unavailable);
    let layer = WebhookLayer::new(acme, secrets()).unwrap().with_store(store).with_dispatch(calls.router());
    let response = layer.into_service().oneshot(request).await.unwrap();
    assert_eq!((response.status().as_u16(), calls.count()), (200, 1));
}

#[tokio::test(start_paused = true)]
async fn f09_a_store_that_is_down_at_completion_is_told_later() {
    let (stage, start) = (Stage::new(), Instant::now());
    stage.faults.next(Operation::Complete, 3, Fault::Unavailable);
    assert_eq!(stage.handle("evt_1").await, HANDLED, "the work is done");
    assert_eq!(start.elapsed(), Duration::ZERO, "the sender does not wait for the record");
    assert_eq!(stage.deliver("evt_1").await, IN_FLIGHT, "no 200 before it is recorded");
    stage.settled().await;
    assert_eq!(start.elapsed(), Duration::from_millis(250 + 500 + 1_000));
    assert_eq!((stage.stats().completions_retried(), stage.stats().store_failures()), (3, 3));
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
    assert_eq!(stage.runs.starts.count(), 1);
    stage.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn f09_every_way_to_fail_at_completion_is_retried() {
    for fault in [Fault::Panic, Fault::Hang, Fault::AnswerLost, Fault::Delay(3 * SECOND)] {
        let stage = Stage::new();
        stage.faults.next(Operation::Complete, 1, fault);
        assert_eq!(stage.handle("evt_1").await, HANDLED, "{fault:?}");
        stage.settled().await;
        assert_eq!(stage.stats().completions_retried(), 1, "{fault:?}");
        assert_eq!(stage.deliver("evt_1").await, DUPLICATE, "{fault:?}");
        stage.assert_idle();
    }
}

#[tokio::test(start_paused = true)]
async fn f09_a_completion_that_never_succeeds_is_given_up() {
    let (stage, start) = (Stage::new(), Instant::now());
    stage.faults.always(Operation::Complete, Fault::Unavailable);
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    sleep_until(start + 29 * SECOND).await;
    assert_eq!(stage.deliver("evt_1").await, IN_FLIGHT);
    stage.settled().await;
    assert_eq!((stage.stats().completions_retried(), stage.faults.calls(Operation::Complete)), (64, 65));
    stage.faults.heal();
    assert_eq!(stage.handle("evt_1").await, HANDLED, "may run again, as documented");
}

/// The mark arrives late, after another delivery took the event over: done all the same.
#[tokio::test(start_paused = true)]
async fn f09_a_late_completion_settles_what_another_delivery_holds() {
    let (stage, start) = (Stage::new(), Instant::now());
    stage.faults.next(Operation::Complete, 12, Fault::Unavailable);
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    sleep_until(start + 30 * SECOND).await;
    let (second, _hangs) = stage.begin("evt_1").await;
    assert_eq!(second.await.unwrap(), RESPOND_BY_PASSED);
    sleep_until(start + 40 * SECOND).await;
    assert_eq!((stage.deliver("evt_1").await, stage.stats().leases_lost()), (DUPLICATE, 1));
}

#[tokio::test(start_paused = true)]
async fn f10_a_store_that_is_down_at_release_waits_for_the_lease() {
    for fault in [Fault::Unavailable, Fault::Panic] {
        let (stage, start) = (Stage::new(), Instant::now());
        stage.faults.next(Operation::Release, 1, fault);
        assert_eq!(stage.fail("evt_1", HandlerError::retry("no")).await, FAILED);
        assert_eq!((stage.deliver("evt_1").await, stage.stats().store_failures()), (IN_FLIGHT, 1));
        sleep_until(start + 30 * SECOND).await;
        assert_eq!(stage.handle("evt_1").await, HANDLED);
        assert_eq!(stage.faults.calls(Operation::Release), 1);
        stage.assert_idle();
    }
}

#[tokio::test(start_paused = true)]
async fn f10_a_release_that_arrived_needs_no_answer() {
    let stage = Stage::new();
    stage.faults.next(Operation::Release, 1, Fault::AnswerLost);
    assert_eq!(stage.fail("evt_1", HandlerError::retry("no")).await, FAILED);
    assert_eq!(stage.handle("evt_1").await, HANDLED);
}

#[tokio::test(start_paused = true)]
async fn f11_a_slow_store_is_not_waited_for() {
    for fault in [Fault::Hang, Fault::Delay(2 * SECOND + SECOND / 10)] {
        let (stage, start) = (Stage::new(), Instant::now());
        stage.faults.next(Operation::Claim, 1, fault);
        assert_eq!(stage.deliver("evt_1").await, TOO_SLOW);
        assert_eq!((start.elapsed(), stage.runs.starts.count()), (2 * SECOND, 0));
        assert_eq!(stage.handle("evt_1").await, HANDLED, "nothing was claimed");
    }
}

#[tokio::test(start_paused = true)]
async fn f11_a_claim_that_succeeds_too_late_blocks_for_one_lease() {
    let (stage, start) = (Stage::new(), Instant::now());
    stage.faults.next(Operation::Claim, 1, Fault::AnswerLate(3 * SECOND));
    assert_eq!(stage.deliver("evt_1").await, TOO_SLOW);
    assert_eq!(stage.deliver("evt_1").await, IN_FLIGHT);
    sleep_until(start + 30 * SECOND).await;
    assert_eq!(stage.handle("evt_1").await, HANDLED);
}

#[tokio::test(start_paused = true)]
async fn f11_a_store_within_its_time_is_slow_but_right() {
    let stage = Stage::new();
    for operation in [Operation::Claim, Operation::Complete] {
        stage.faults.next(operation, 1, Fault::Delay(SECOND));
    }
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    assert_eq!(stage.stats().store_failures(), 0);
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
}

/// The receiver without HTTP meets the same store.
#[tokio::test(start_paused = true)]
async fn f08_a_processor_is_told_to_come_back() {
    use tower_webhook::{Outcome, testing};

    let stage = Stage::new();
    stage.faults.next(Operation::Claim, 1, Fault::Unavailable);
    let delivery = testing::delivery(&caspay::provider(), caspay_body("evt_1")).unwrap();
    let outcome = stage.layer.processor().process(delivery).await;
    assert!(matches!(outcome, Outcome::Busy { retry_after } if retry_after == 5 * SECOND), "{outcome:?}");
    let service = stage.layer.clone().into_service();
    stage.faults.next(Operation::Claim, 1, Fault::Hang);
    let response = tower::ServiceExt::oneshot(service, from_caspay(caspay_body("evt_1"))).await.unwrap();
    assert_eq!(response.headers()["retry-after"], "5");
}
