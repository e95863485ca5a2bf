//! How handlers end: in a panic, in an error, or in a dead letter.

use std::sync::Arc;

use http::StatusCode;
use http_body_util::BodyExt as _;
use serde::{Deserialize, Deserializer};
use tokio::sync::mpsc;
use tower::ServiceExt as _;
use tower_webhook::{
    Accepted, DeadLetter, Delivery, EventRouter, HandlerError, LruStore, Outcome, RejectionReason,
    WebhookLayer, caspay,
};

use crate::stage::{
    DUPLICATE, HANDLED, IN_FLIGHT, RESPOND_BY_PASSED, SECOND, Stage, Verdict, timing, verdict,
};
use crate::support::{Calls, caspay_body, from_caspay, secrets};

const PANICKED: Verdict = (503, "handler_panicked");
const PERMANENT: Verdict = (500, "permanent");
const UNREADABLE: Verdict = (500, "unreadable");
const DEAD_LETTERED: Verdict = (200, "dead_lettered");

/// Sends `evt_1` to a receiver with these handlers, twice.
async fn twice(events: EventRouter) -> (Verdict, Verdict, Arc<LruStore>) {
    let store = Arc::new(LruStore::new(1_000));
    let layer = WebhookLayer::new(caspay::provider(), secrets()).unwrap().with_store(Arc::clone(&store));
    let layer = layer.with_dispatch(events);
    let send = async || {
        let service = layer.clone().into_service();
        verdict(&service.oneshot(from_caspay(caspay_body("evt_1"))).await.unwrap())
    };
    let verdicts = (send().await, send().await);
    assert_eq!(layer.stats().in_flight(), 0);
    (verdicts.0, verdicts.1, store)
}

/// What a handler does in its first run; it succeeds in the second.
fn at_first(act: fn()) -> EventRouter {
    let calls = Calls::default();
    EventRouter::new().fallback(move |_: Delivery| {
        let calls = calls.clone();
        async move {
            calls.add();
            if calls.count() == 1 {
                act();
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn f27_a_panic_gives_the_claim_back() {
    let (first, retry, store) = twice(at_first(|| panic!("in the handler"))).await;
    assert_eq!((first, retry), (PANICKED, HANDLED));
    assert_eq!((store.stats().in_flight(), store.stats().done()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn f27_a_panic_before_the_handlers_first_await_is_caught_too() {
    let calls = Calls::default();
    let events = EventRouter::new().fallback(move |_: Delivery| {
        calls.add();
        assert!(calls.count() > 1, "not even a future");
        async {}
    });
    let (first, retry, _) = twice(events).await;
    assert_eq!((first, retry), (PANICKED, HANDLED));
}

#[tokio::test(start_paused = true)]
async fn f27_a_panic_after_the_sender_has_left_gives_the_claim_back() {
    async fn late(_: Delivery) {
        tokio::time::sleep(10 * SECOND).await;
        panic!("late");
    }
    let stage = Stage::with(|layer| layer.with_dispatch(EventRouter::new().fallback(late)));
    for attempts in 1..=2 {
        assert_eq!(stage.deliver("evt_1").await, RESPOND_BY_PASSED);
        stage.settled().await;
        stage.assert_idle();
        assert_eq!(stage.stats().moved(), attempts);
    }
}

#[tokio::test]
async fn f27_the_answer_to_a_panic_tells_nothing() {
    let layer = WebhookLayer::new(caspay::provider(), secrets()).unwrap();
    let service = layer.with_dispatch(at_first(|| panic!("secret text"))).into_service();
    let response = service.oneshot(from_caspay(caspay_body("evt_1"))).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers().keys().collect::<Vec<_>>(), ["retry-after"]);
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
}

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "in drop");
    }
}

impl<'de> Deserialize<'de> for PanicsOnDrop {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

#[tokio::test]
async fn f29_a_payload_that_panics_in_drop_gives_the_claim_back() {
    let events = EventRouter::new().on_type("payment.*", async |payload: PanicsOnDrop| drop(payload));
    let (first, retry, store) = twice(events).await;
    assert_eq!((first, retry), (PANICKED, PANICKED));
    assert_eq!(store.stats().in_flight(), 0);
}

/// A panic is a value, and dropping it may panic in its turn.
#[tokio::test]
async fn f29_a_panic_that_panics_in_drop_gives_the_claim_back() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in the drop of a panic");
        }
    }
    let (first, retry, _) = twice(at_first(|| std::panic::panic_any(Bomb))).await;
    assert_eq!((first, retry), (PANICKED, HANDLED));
}

#[tokio::test]
async fn f29_a_type_that_panics_while_it_is_read_is_unreadable() {
    struct PanicsOnRead;
    impl<'de> Deserialize<'de> for PanicsOnRead {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("while reading");
        }
    }
    let events = EventRouter::new().on_type("payment.*", async |_: PanicsOnRead| ());
    let (first, retry, store) = twice(events).await;
    assert_eq!((first, retry), (UNREADABLE, UNREADABLE));
    assert_eq!(store.stats().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn f30_an_error_gives_the_claim_back() {
    let stage = Stage::new();
    assert_eq!(stage.fail("evt_1", HandlerError::retry("later")).await, (503, "handler_failed"));
    stage.assert_idle();
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    assert_eq!(stage.runs.effects.count(), 1);
}

/// An outcome that a handler spells out means what its error would mean.
#[tokio::test]
async fn f30_every_outcome_a_handler_may_return_is_honoured() {
    type Told = (fn() -> Outcome, Verdict, Verdict);
    let told: [Told; 5] = [
        (|| Outcome::Done, HANDLED, DUPLICATE),
        (|| Outcome::Duplicate, DUPLICATE, DUPLICATE),
        (|| Outcome::Unhandled, (200, "unhandled"), (200, "unhandled")),
        (|| Outcome::Busy { retry_after: 7 * SECOND }, (503, "handler_busy"), (503, "handler_busy")),
        (|| Outcome::Failed(HandlerError::retry("x")), (503, "handler_failed"), (503, "handler_failed")),
    ];
    for (outcome, first, retry) in told {
        let events = EventRouter::new().fallback(move |_: Delivery| async move { outcome() });
        let (one, two, store) = twice(events).await;
        assert_eq!((one, two), (first, retry), "{:?}", outcome());
        assert_eq!(store.stats().in_flight(), 0);
    }
}

fn permanent() -> HandlerError {
    HandlerError::permanent("the account is closed")
}

/// A hook that tells the test what it is given, and ends as the test says.
fn hooked<Fut, E>(
    end: impl Fn() -> Fut + Send + Sync + 'static,
) -> (Stage, mpsc::UnboundedReceiver<DeadLetter>)
where
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let (tell, told) = mpsc::unbounded_channel();
    let stage = Stage::with(|layer| {
        let layer = layer.with_timing(timing().with_dead_letter_timeout(SECOND)).unwrap();
        layer.with_dead_letter(move |letter| {
            tell.send(letter).unwrap();
            end()
        })
    });
    (stage, told)
}

#[tokio::test(start_paused = true)]
async fn f31_a_dead_letter_settles_the_event() {
    let (stage, mut told) = hooked(async || Ok::<_, std::io::Error>(()));
    assert_eq!(stage.fail("evt_1", permanent()).await, DEAD_LETTERED);
    let letter = told.recv().await.unwrap();
    assert_eq!(letter.delivery().id(), "evt_1");
    assert_eq!(letter.delivery().body(), caspay_body("evt_1").as_bytes());
    assert!(letter.error().is_permanent());
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
    stage.assert_idle();
}

/// 500, and the next attempt runs: the hook may have recovered by then, or the handler.
async fn comes_back(stage: Stage) {
    for failures in 1..=2 {
        assert_eq!(stage.fail("evt_1", permanent()).await, PERMANENT);
        stage.assert_idle();
        assert!(stage.stats().dead_letter_failures() <= failures);
    }
    assert_eq!(stage.handle("evt_1").await, HANDLED);
    assert_eq!(stage.stats().accepted(Accepted::DeadLettered), 0);
}

#[tokio::test(start_paused = true)]
async fn f31_without_a_hook_the_event_comes_back() {
    comes_back(Stage::new()).await;
}

#[tokio::test(start_paused = true)]
async fn f31_a_hook_that_fails_leaves_the_event_to_a_retry() {
    comes_back(hooked(async || Err(std::io::Error::other("disk full"))).0).await;
}

#[tokio::test(start_paused = true)]
async fn f31_a_hook_that_hangs_leaves_the_event_to_a_retry() {
    comes_back(hooked(std::future::pending::<Result<(), std::io::Error>>).0).await;
}

#[tokio::test(start_paused = true)]
async fn f31_a_hook_that_panics_leaves_the_event_to_a_retry() {
    comes_back(hooked(async || -> Result<(), std::io::Error> { panic!("in the hook") }).0).await;
    let not_even_a_future =
        hooked(|| -> std::future::Ready<Result<(), std::io::Error>> { panic!("earlier") });
    comes_back(not_even_a_future.0).await;
}

/// The default hook timeout ends after `respond_by`: the sender is answered, the hook goes on.
#[tokio::test(start_paused = true)]
async fn f31_a_slow_hook_finishes_after_the_answer() {
    let stage = Stage::with(|layer| {
        layer.with_dead_letter(async |_| {
            tokio::time::sleep(4 * SECOND + SECOND / 2).await;
            Ok::<_, std::io::Error>(())
        })
    });
    assert_eq!(stage.fail("evt_1", permanent()).await, RESPOND_BY_PASSED);
    assert_eq!(stage.deliver("evt_1").await, IN_FLIGHT);
    stage.settled().await;
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
}

/// An envelope that cannot be read has no id to remember; the digest of its body stands in.
#[tokio::test(start_paused = true)]
async fn f31_an_unreadable_event_is_dead_lettered_once() {
    let (stage, mut told) = hooked(async || Ok::<_, std::io::Error>(()));
    let send = async || {
        let service = stage.layer.clone().into_service();
        verdict(&service.oneshot(from_caspay("not json")).await.unwrap())
    };
    assert_eq!(send().await, DEAD_LETTERED);
    let letter = told.recv().await.unwrap();
    assert!(letter.error().is_unreadable());
    assert_eq!(letter.delivery().body(), "not json");
    assert_eq!(send().await, DUPLICATE);
    assert!(told.is_empty());
    assert_eq!(stage.runs.starts.count(), 0);
    assert_eq!(stage.stats().rejected(RejectionReason::Unreadable), 0);
}

/// Compiled with `panic = "abort"` a panic is the end of the process: nothing is answered, and the next process
/// begins anew. The child plays both.
#[cfg(unix)]
#[test]
fn f28_a_process_that_aborts_has_answered_nothing() {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    let run = |ending: &str| {
        let name = "faults::endings::f28_child";
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([name, "--exact", "--ignored", "--nocapture"]).env("F28_ENDING", ending);
        let output = child.output().unwrap();
        (output.status, String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (status, said) = run("abort");
    assert_eq!(status.signal(), Some(6), "{said}");
    assert!(said.contains("handler began") && !said.contains("answered"), "{said}");
    let (status, said) = run("success");
    assert!(status.success() && said.contains("handler began") && said.contains("answered 200"), "{said}");
}

#[tokio::test]
#[ignore = "the child process of f28"]
#[expect(clippy::print_stdout, reason = "its parent reads it")]
async fn f28_child() {
    let ending = std::env::var("F28_ENDING").unwrap_or_default();
    std::panic::set_hook(Box::new(|_| std::process::abort()));
    let events = EventRouter::new().fallback(move |_: Delivery| {
        println!("handler began");
        assert_ne!(ending, "abort");
        async {}
    });
    let layer = WebhookLayer::new(caspay::provider(), secrets()).unwrap().with_dispatch(events);
    let response = layer.into_service().oneshot(from_caspay(caspay_body("evt_1"))).await.unwrap();
    println!("answered {}", response.status().as_u16());
}
