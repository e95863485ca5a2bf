//! Claims that outlive their holder, holders that outlive their claim, and marks that are forgotten.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, advance, sleep_until};
use tower::ServiceExt as _;
use tower_webhook::testing::ManualClock;
use tower_webhook::{
    ConfigError, ConfigWarning, Delivery, EventRouter, HandlerError, LruStore, Provider, Retries,
    SignatureScheme, Timing, WebhookLayer, caspay,
};

use crate::stage::{
    AtMost, DUPLICATE, HANDLED, IN_FLIGHT, RESPOND_BY_PASSED, SECOND, Stage, timing, verdict,
};
use crate::support::{NOW, caspay_body, from_caspay, secrets};

const TIMED_OUT: (u16, &str) = (503, "handler_timeout");

/// A receiver that answers no earlier than its handlers end.
fn waits_for_handlers() -> Stage {
    Stage::with(|layer| layer.with_timing(timing().with_respond_by(20 * SECOND)).unwrap())
}

#[tokio::test(start_paused = true)]
async fn f19_a_handler_that_times_out_keeps_its_lease() {
    let (stage, start) = (waits_for_handlers(), Instant::now());
    let (answer, run) = stage.begin("evt_1").await;
    assert_eq!(answer.await.unwrap(), TIMED_OUT);
    run.dropped().await;
    assert_eq!(start.elapsed(), 20 * SECOND);
    assert_eq!((stage.stats().in_flight(), stage.stats().moved()), (0, 0));

    sleep_until(start + 30 * SECOND - Duration::from_millis(1)).await;
    assert_eq!(stage.deliver("evt_1").await, IN_FLIGHT);
    sleep_until(start + 30 * SECOND).await;
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    assert_eq!((stage.runs.peak(), stage.store.stats().taken_over()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn f19_a_moved_handler_times_out_just_the_same() {
    let (stage, start) = (Stage::new(), Instant::now());
    let (answer, run) = stage.begin("evt_1").await;
    assert_eq!(answer.await.unwrap(), RESPOND_BY_PASSED);
    run.dropped().await;
    assert_eq!(start.elapsed(), 20 * SECOND);
    stage.settled().await;
    assert_eq!(stage.deliver("evt_1").await, IN_FLIGHT);
    sleep_until(start + 30 * SECOND).await;
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    assert_eq!(stage.runs.peak(), 1);
}

/// Handlers whose work is a thread that nobody can stop.
struct Blocking {
    layer: WebhookLayer<EventRouter, Arc<LruStore>>,
    store: Arc<LruStore>,
    begun: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    ended: mpsc::UnboundedReceiver<()>,
    at_once: Arc<AtMost>,
}

impl Blocking {
    fn new() -> Self {
        let (begin, begun) = mpsc::unbounded_channel();
        let (end, ended) = mpsc::unbounded_channel();
        let at_once = Arc::<AtMost>::default();
        let probe = Arc::clone(&at_once);
        let events = EventRouter::new().fallback(move |_: Delivery| {
            let (begin, end, probe) = (begin.clone(), end.clone(), Arc::clone(&probe));
            async move {
                let work = spawn_blocking(move || {
                    let inside = probe.enter();
                    let (finish, told) = oneshot::channel();
                    begin.send(finish).unwrap();
                    told.blocking_recv().unwrap();
                    drop(inside);
                    let _ = end.send(());
                });
                work.await
            }
        });
        let store = Arc::new(LruStore::new(1_000));
        let layer = WebhookLayer::new(caspay::provider(), secrets()).unwrap().with_dispatch(events);
        let layer = layer.with_store(Arc::clone(&store));
        let layer = layer.with_timing(timing().with_respond_by(20 * SECOND)).unwrap();
        Self { layer, store, begun, ended, at_once }
    }

    fn post(&self) -> tokio::task::JoinHandle<(u16, &'static str)> {
        let service = self.layer.clone().into_service();
        let request = from_caspay(caspay_body("evt_1"));
        tokio::spawn(async move { verdict(&service.oneshot(request).await.unwrap()) })
    }

    /// Delivers, and must be told that the event is in flight.
    async fn is_in_flight(&mut self) {
        let answer = self.post();
        tokio::select! {
            answer = answer => assert_eq!(answer.unwrap(), IN_FLIGHT),
            _ = self.begun.recv() => panic!("a second run while the first holds its lease"),
        }
    }
}

/// Tokio's paused clock stands while a blocking thread runs: time is moved by hand.
#[tokio::test(start_paused = true)]
async fn f19_blocking_work_that_outlives_its_handler_does_not_overlap() {
    let mut blocking = Blocking::new();
    let first = blocking.post();
    let finish = blocking.begun.recv().await.unwrap();
    advance(20 * SECOND).await;
    assert_eq!(first.await.unwrap(), TIMED_OUT);
    blocking.is_in_flight().await;

    finish.send(()).unwrap();
    blocking.ended.recv().await.unwrap();
    advance(10 * SECOND).await;
    let retry = blocking.post();
    blocking.begun.recv().await.unwrap().send(()).unwrap();
    assert_eq!(retry.await.unwrap(), HANDLED);
    assert_eq!(blocking.at_once.peak(), 1);
}

#[tokio::test(start_paused = true)]
async fn f20_blocking_work_that_outlives_its_lease_overlaps_and_is_counted() {
    let mut blocking = Blocking::new();
    let first = blocking.post();
    let finish = blocking.begun.recv().await.unwrap();
    advance(20 * SECOND).await;
    assert_eq!(first.await.unwrap(), TIMED_OUT);
    advance(10 * SECOND - Duration::from_millis(1)).await;
    blocking.is_in_flight().await;
    assert_eq!(blocking.store.stats().taken_over(), 0);

    advance(Duration::from_millis(1)).await;
    let retry = blocking.post();
    blocking.begun.recv().await.unwrap().send(()).unwrap();
    assert_eq!(retry.await.unwrap(), HANDLED);
    assert_eq!((blocking.at_once.peak(), blocking.store.stats().taken_over()), (2, 1));
    finish.send(()).unwrap();
}

/// A store whose clock the test moves, so that a lease ends while its handler still runs, as it does when a
/// process is suspended.
fn suspended() -> (Stage, ManualClock) {
    let clock = ManualClock::at_unix(NOW);
    (Stage::on(LruStore::with_clock(1_000, clock.clone()), |layer| layer), clock)
}

#[tokio::test(start_paused = true)]
async fn f21_completing_a_lost_lease_is_counted() {
    let (stage, clock) = suspended();
    let (first, old) = stage.begin("evt_1").await;
    clock.advance(30 * SECOND);
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    assert_eq!(stage.stats().leases_lost(), 0);
    old.succeed();
    assert_eq!(first.await.unwrap(), HANDLED, "its work is done");
    assert_eq!(stage.stats().leases_lost(), 1);
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
}

#[tokio::test(start_paused = true)]
async fn f22_releasing_a_lost_lease_leaves_the_new_one() {
    let (stage, clock) = suspended();
    let (first, old) = stage.begin("evt_1").await;
    clock.advance(30 * SECOND);
    let (second, new) = stage.begin("evt_1").await;
    old.fail(HandlerError::retry("too late"));
    assert_eq!(first.await.unwrap(), (503, "handler_failed"));
    assert_eq!(stage.deliver("evt_1").await, IN_FLIGHT);
    new.succeed();
    assert_eq!(second.await.unwrap(), HANDLED);
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
    assert_eq!(stage.stats().leases_lost(), 0);
    stage.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn f23_an_old_holder_that_completes_settles_the_event() {
    let (stage, clock) = suspended();
    let (first, old) = stage.begin("evt_1").await;
    clock.advance(30 * SECOND);
    let (second, new) = stage.begin("evt_1").await;
    old.succeed();
    assert_eq!(first.await.unwrap(), HANDLED);
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE, "done while the new holder runs");
    new.fail(HandlerError::retry("found it done"));
    assert_eq!(second.await.unwrap(), (503, "handler_failed"));
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE, "a release undoes nothing");
    assert_eq!((stage.runs.starts.count(), stage.stats().leases_lost()), (2, 1));
    stage.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn f37_an_evicted_event_runs_again_and_is_counted() {
    let stage = Stage::on(LruStore::new(10), |layer| layer);
    for n in 0..11 {
        assert_eq!(stage.handle(&format!("evt_{n}")).await, HANDLED);
    }
    assert_eq!(stage.store.evicted_young(), 1);
    assert_eq!(stage.deliver("evt_10").await, DUPLICATE);
    assert_eq!(stage.handle("evt_0").await, HANDLED);
    assert_eq!(stage.runs.starts.count(), 12);
}

#[test]
fn f38_a_retention_shorter_than_the_retries_does_not_build() {
    let acme = |retries| {
        let scheme = SignatureScheme::hmac_sha256("x-acme-signature");
        Provider::builder("acme").signature(scheme).retries(retries).build().unwrap()
    };
    let horizon = 10 * 86_400 * SECOND;
    let documented = acme(Retries::Documented { horizon, resigned: true });
    let short = Timing::for_provider(&documented).with_retention(horizon - SECOND);
    let error = WebhookLayer::new(documented, secrets()).unwrap().with_timing(short.clone()).unwrap_err();
    assert!(
        matches!(error, ConfigError::InvalidTiming { rule: "retention >= retry horizon", .. }),
        "{error}"
    );

    let layer =
        WebhookLayer::new(acme(Retries::Undocumented), secrets()).unwrap().with_timing(short).unwrap();
    let warning = ConfigWarning::UndocumentedHorizon { retention: horizon - SECOND };
    assert!(layer.warnings().contains(&warning), "{:?}", layer.warnings());
}

#[tokio::test(start_paused = true)]
async fn f39_of_two_retries_after_the_mark_ended_one_runs() {
    let stage = Stage::new();
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    advance(stage.layer.timing().retention() - SECOND).await;
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
    advance(2 * SECOND).await;
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
    assert_eq!(stage.runs.starts.count(), 2);
}
