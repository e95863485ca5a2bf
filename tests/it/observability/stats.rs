//! `Stats`: every number moves for its cause, once, and for nothing else.

use std::future::{Ready, pending, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::join;
use http::{Request, Response, StatusCode};
use tokio::sync::Semaphore;
use tower::{Layer as _, ServiceExt as _};
use tower_webhook::testing::faulty::{Fault, Operation};
use tower_webhook::{
    Accepted, Body, ConfigError, DeadLetter, Delivery, Envelope, EventRouter, HandlerError, OnStoreFailure,
    Outcome, Provider, RejectionReason as R, Secret, SignatureScheme, Stats, casapay, caspay,
};

use super::{SECOND, event, event_signed_at, forged, from, receiver, refusals, with_handler};
use crate::support::{NOW, Receiver, accepted, casapay_body, caspay_body, from_caspay, reason, secrets};

/// Handlers wait before it until it opens.
pub(super) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(super) fn before(receiver: Receiver) -> (Self, Receiver) {
        let gate = Arc::new(Semaphore::new(0));
        let permits = Arc::clone(&gate);
        let receiver = with_handler(receiver, move |_| {
            let permits = Arc::clone(&permits);
            async move { drop(permits.acquire().await) }
        });
        (Self(gate), receiver)
    }

    pub(super) fn open(&self) {
        self.0.close();
    }
}

/// A handler outlasts its lease; another delivery takes the event over and finishes first.
pub(super) async fn lose_a_lease() -> Receiver {
    let (gate, receiver) = Gate::before(receiver());
    let second = async {
        receiver.clock.advance(receiver.layer.timing().lease());
        let other = receiver.layer.clone().with_dispatch(EventRouter::new().fallback(async |_: Delivery| ()));
        let again = event_signed_at("evt_1", NOW + 30);
        let answer = other.into_service().oneshot(again).await.unwrap();
        gate.open();
        answer
    };
    let (first, second) = join(receiver.send(event("evt_1")), second).await;
    assert_eq!([accepted(&first), accepted(&second)], [Some(Accepted::Handled); 2]);
    receiver
}

/// Every number but those of single verdicts, by name.
fn numbers(stats: &Stats) -> [(&'static str, u64); 12] {
    [
        ("stale_but_authentic", stats.stale_but_authentic()),
        ("clock_suspect", u64::from(stats.clock_suspect())),
        ("macs", stats.macs()),
        ("envelopes", stats.envelopes()),
        ("api_version_drift", stats.api_version_drift()),
        ("in_flight", stats.in_flight()),
        ("moved", stats.moved()),
        ("leases_lost", stats.leases_lost()),
        ("completions_retried", stats.completions_retried()),
        ("store_failures", stats.store_failures()),
        ("dead_letter_failures", stats.dead_letter_failures()),
        ("without_claim", stats.without_claim()),
    ]
}

/// Those numbers that are not zero.
fn moved(stats: &Stats) -> Vec<(&'static str, u64)> {
    numbers(stats).into_iter().filter(|(_, number)| *number > 0).collect()
}

const ACCEPTED: [Accepted; 7] = [
    Accepted::Handled,
    Accepted::Duplicate,
    Accepted::Unhandled,
    Accepted::TestEvent,
    Accepted::DeadLettered,
    Accepted::Handshake,
    Accepted::Forwarded,
];

const REJECTED: [R; 32] = [
    R::MethodNotAllowed,
    R::EncodedBody,
    R::ContentType,
    R::BodyTooLarge,
    R::BodyTimeout,
    R::BodyIncomplete,
    R::UnverifiedCapacity,
    R::MissingHeader,
    R::DuplicateHeader,
    R::MalformedHeader,
    R::MalformedTimestamp,
    R::SignatureMismatch,
    R::TimestampTooOld,
    R::TimestampInFuture,
    R::EventTooOld,
    R::HandshakeMalformed,
    R::HandshakeRefused,
    R::UnknownTopic,
    R::InFlight,
    R::AtCapacity,
    R::DispatchRefused,
    R::RespondByPassed,
    R::StoreUnavailable,
    R::StoreTimeout,
    R::HandlerFailed,
    R::HandlerBusy,
    R::HandlerPanicked,
    R::HandlerTimeout,
    R::ShuttingDown,
    R::Permanent,
    R::Unreadable,
    R::InnerRefused,
];

/// How often each verdict came, where it came at all.
fn verdicts(stats: &Stats) -> Vec<(&'static str, u64)> {
    let accepted = ACCEPTED.map(|accepted| (accepted.as_str(), stats.accepted(accepted)));
    let rejected = REJECTED.map(|reason| (reason.as_str(), stats.rejected(reason)));
    accepted.into_iter().chain(rejected).filter(|(_, count)| *count > 0).collect()
}

#[tokio::test]
async fn nothing_has_happened_yet() {
    let stats = receiver().stats();
    assert!(moved(&stats).is_empty() && verdicts(&stats).is_empty(), "{stats:?}");
}

#[tokio::test]
async fn an_event_and_its_duplicate() {
    let receiver = receiver();
    receiver.handles(event("evt_1")).await;
    assert_eq!(moved(&receiver.stats()), [("macs", 1), ("envelopes", 1)]);
    assert_eq!(verdicts(&receiver.stats()), [("handled", 1)]);
    receiver.send(event("evt_1")).await;
    assert_eq!(moved(&receiver.stats()), [("macs", 2), ("envelopes", 2)]);
    assert_eq!(verdicts(&receiver.stats()), [("handled", 1), ("duplicate", 1)]);
}

#[tokio::test]
async fn refusals_move_their_reason_alone() {
    for (reason, request) in refusals() {
        let receiver = receiver();
        receiver.send(request).await;
        let expected: &[(&str, u64)] = match reason {
            R::SignatureMismatch => &[("macs", 1)],
            R::TimestampTooOld | R::TimestampInFuture => &[("stale_but_authentic", 1), ("macs", 1)],
            _ => &[],
        };
        assert_eq!(moved(&receiver.stats()), expected, "{reason}");
        assert_eq!(verdicts(&receiver.stats()), [(reason.as_str(), 1)]);
    }
}

#[tokio::test]
async fn one_mac_a_secret() {
    let previous = Secret::new("whsec_the-secret-before-the-rotation").unwrap();
    let secrets = secrets().with_secret("previous", previous).unwrap();
    let receiver = Receiver::with_secrets(casapay::provider(), secrets);
    receiver.handles(event("evt_1")).await;
    assert_eq!(receiver.stats().macs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_handler_in_flight_is_moved_and_ends() {
    let (gate, receiver) = Gate::before(receiver());
    assert_eq!(reason(&receiver.send(event("evt_1")).await), Some(R::RespondByPassed));
    assert_eq!(moved(&receiver.stats()), [("macs", 1), ("envelopes", 1), ("in_flight", 1), ("moved", 1)]);
    gate.open();
    assert!(receiver.layer.shutdown().drain(SECOND).await.is_complete());
    assert_eq!(moved(&receiver.stats()), [("macs", 1), ("envelopes", 1), ("moved", 1)]);
    assert_eq!(verdicts(&receiver.stats()), [("respond_by_passed", 1)], "the sender was told once");
}

#[tokio::test]
async fn a_lease_that_is_lost() {
    let receiver = lose_a_lease().await;
    assert_eq!(moved(&receiver.stats()), [("macs", 2), ("envelopes", 2), ("leases_lost", 1)]);
    assert_eq!(verdicts(&receiver.stats()), [("handled", 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_completion_that_is_tried_again() {
    let receiver = receiver();
    receiver.store.next(Operation::Complete, 2, Fault::Unavailable);
    receiver.handles(event("evt_1")).await;
    assert_eq!(moved(&receiver.stats()), [("macs", 1), ("envelopes", 1), ("store_failures", 1)]);
    assert!(receiver.layer.shutdown().drain(60 * SECOND).await.is_complete());
    let expected = [("macs", 1), ("envelopes", 1), ("completions_retried", 2), ("store_failures", 2)];
    assert_eq!(moved(&receiver.stats()), expected);
    assert_eq!(accepted(&receiver.send(event("evt_1")).await), Some(Accepted::Duplicate));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails() {
    for (fault, reason) in [
        (Fault::Unavailable, R::StoreUnavailable),
        (Fault::Panic, R::StoreUnavailable),
        (Fault::Hang, R::StoreTimeout),
    ] {
        let receiver = receiver();
        receiver.store.next(Operation::Claim, 1, fault);
        receiver.send(event("evt_1")).await;
        assert_eq!(moved(&receiver.stats()), [("macs", 1), ("envelopes", 1), ("store_failures", 1)]);
        assert_eq!(verdicts(&receiver.stats()), [(reason.as_str(), 1)]);
    }
}

#[tokio::test]
async fn a_store_that_fails_where_events_run_all_the_same() {
    let mut receiver = receiver();
    receiver.layer = receiver.layer.with_on_store_failure(OnStoreFailure::Process);
    receiver.store.next(Operation::Claim, 1, Fault::Unavailable);
    receiver.handles(event("evt_1")).await;
    let expected = [("macs", 1), ("envelopes", 1), ("store_failures", 1), ("without_claim", 1)];
    assert_eq!(moved(&receiver.stats()), expected);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_lost() {
    async fn panics() -> Result<(), std::io::Error> {
        panic!("no disk")
    }
    let permanent = || with_handler(receiver(), async |_| HandlerError::permanent("closed"));
    for broken in ["fails", "hangs", "panics"] {
        let mut receiver = permanent();
        // The default deadline of an answer is shorter than that of the hook.
        let timing = receiver.layer.timing().clone().with_respond_by(20 * SECOND);
        receiver.layer =
            receiver.layer.with_timing(timing).unwrap().with_dead_letter(move |_: DeadLetter| async move {
                match broken {
                    "fails" => Err(std::io::Error::other("no disk")),
                    "hangs" => pending().await,
                    _ => panics().await,
                }
            });
        receiver.send(event("evt_1")).await;
        assert_eq!(moved(&receiver.stats()), [("macs", 1), ("envelopes", 1), ("dead_letter_failures", 1)]);
        assert_eq!(verdicts(&receiver.stats()), [("permanent", 1)], "{broken}");
    }
    let mut receiver = permanent();
    receiver.layer = receiver.layer.with_dead_letter(async |_: DeadLetter| Ok::<_, std::io::Error>(()));
    receiver.send(event("evt_1")).await;
    assert_eq!(moved(&receiver.stats()), [("macs", 1), ("envelopes", 1)]);
    assert_eq!(verdicts(&receiver.stats()), [("dead_lettered", 1)]);
}

#[tokio::test]
async fn test_events_are_acknowledged_and_counted() {
    let mut receiver = receiver();
    receiver.layer = receiver.layer.require_live_mode().unwrap();
    let livemode = |id: &str, member: &str| {
        let body = casapay_body(id, "invoice.paid");
        let changed = body.replace(r#""livemode":true,"#, member);
        assert_ne!(changed, body);
        from(&casapay::provider(), changed)
    };
    for count in 1..=2 {
        let answer = receiver.send(livemode("evt_1", r#""livemode":false,"#)).await;
        assert_eq!((answer.status(), accepted(&answer)), (StatusCode::OK, Some(Accepted::TestEvent)));
        assert_eq!(verdicts(&receiver.stats()), [("test_event", count)]);
        assert_eq!((receiver.calls.count(), receiver.store_calls()), (0, 0));
    }
    for unsaid in ["", r#""livemode":null,"#] {
        receiver.cannot_read(livemode("evt_2", unsaid)).await;
    }
    assert_eq!(verdicts(&receiver.stats()), [("test_event", 2), ("unreadable", 2)]);
    receiver.handles(event("evt_1")).await;
}

#[tokio::test]
async fn without_require_live_mode_test_events_are_events() {
    let receiver = receiver();
    for (id, member) in [("evt_1", r#""livemode":false,"#), ("evt_2", "")] {
        let body = casapay_body(id, "invoice.paid").replace(r#""livemode":true,"#, member);
        receiver.handles(from(&casapay::provider(), body)).await;
    }
}

/// What a processor is given from a queue was received before the setting changed, or by another layer.
#[tokio::test]
async fn a_processor_keeps_test_events_from_the_handlers_too() {
    let mut receiver = receiver();
    receiver.layer = receiver.layer.require_live_mode().unwrap();
    let processor = receiver.layer.processor();
    for (livemode, calls) in [("false", 0), ("true", 1)] {
        let body = casapay_body("evt_1", "invoice.paid")
            .replace("\"livemode\":true", &format!("\"livemode\":{livemode}"));
        let delivery = tower_webhook::testing::delivery(&casapay::provider(), body).unwrap();
        let outcome = processor.process(delivery).await;
        assert_eq!(matches!(outcome, Outcome::Done), calls == 1, "{outcome:?}");
        assert_eq!(receiver.calls.count(), calls);
    }
}

#[tokio::test]
async fn another_api_version_is_counted_and_handled() {
    let receiver = receiver();
    receiver.handles(event("evt_1")).await;
    assert_eq!(receiver.stats().api_version_drift(), 0);
    let body = casapay_body("evt_2", "invoice.paid");
    let versioned = |version: &str| body.replace(r#""api_version":"2025-01-15","#, version);
    receiver.handles(from(&casapay::provider(), versioned(r#""api_version":"2026-02-01","#))).await;
    assert_eq!(moved(&receiver.stats())[2..], [("api_version_drift", 1)]);
    // An event that does not say its version is not of the expected one.
    let body = casapay_body("evt_3", "invoice.paid").replace(r#""api_version":"2025-01-15","#, "");
    receiver.handles(from(&casapay::provider(), body)).await;
    assert_eq!(moved(&receiver.stats())[2..], [("api_version_drift", 2)]);
}

#[tokio::test]
async fn the_expected_api_version_can_be_chosen() {
    let mut receiver = receiver();
    receiver.layer = receiver.layer.expect_api_version("2026-02-01").unwrap();
    let body = casapay_body("evt_1", "invoice.paid").replace("2025-01-15", "2026-02-01");
    receiver.handles(from(&casapay::provider(), body)).await;
    assert_eq!(receiver.stats().api_version_drift(), 0);
    receiver.handles(event("evt_2")).await;
    assert_eq!(receiver.stats().api_version_drift(), 1);
}

#[tokio::test]
async fn caspay_has_no_api_version_to_drift_from() {
    let receiver = Receiver::new(caspay::provider());
    for (id, member) in [("evt_1", ""), ("evt_2", r#""api_version":"2026-02-01","#)] {
        let body = caspay_body(id).replacen('{', &format!("{{{member}"), 1);
        receiver.handles(from_caspay(body)).await;
    }
    assert_eq!(receiver.stats().api_version_drift(), 0);
}

#[test]
fn what_the_envelope_does_not_say_cannot_be_asked_for() {
    let invalid = |error: ConfigError, member: &str| match error {
        ConfigError::InvalidPath { path, .. } => assert_eq!(path, member),
        other => panic!("{other}"),
    };
    let layer = || Receiver::new(caspay::provider()).layer;
    invalid(layer().require_live_mode().unwrap_err(), "livemode");
    invalid(layer().expect_api_version("2026-02-01").unwrap_err(), "api_version");
    assert!(layer().with_max_event_age(SECOND).is_ok());
    let bare = Provider::builder("acme")
        .signature(SignatureScheme::hmac_sha256("x-signature"))
        .envelope(Envelope::json("/id"))
        .build()
        .unwrap();
    invalid(Receiver::new(bare).layer.with_max_event_age(SECOND).unwrap_err(), "created");
}

#[tokio::test]
async fn an_event_that_is_too_old_is_refused() {
    let mut receiver = Receiver::new(caspay::provider());
    receiver.layer = receiver.layer.with_max_event_age(60 * SECOND).unwrap();
    let created = |id: &str, member: &str| {
        let body = caspay_body(id);
        let changed = body.replace(&format!(r#""created":{NOW},"#), member);
        assert_ne!(changed, body);
        from_caspay(changed)
    };
    receiver.clock.advance(60 * SECOND);
    receiver.handles(from_caspay(caspay_body("evt_1"))).await;
    receiver.clock.advance(SECOND - std::time::Duration::from_nanos(1));
    receiver.handles(from_caspay(caspay_body("evt_2"))).await;
    receiver.clock.advance(std::time::Duration::from_nanos(1));
    let old = from_caspay(caspay_body("evt_3"));
    receiver.rejects(old, StatusCode::UNAUTHORIZED, R::EventTooOld).await;
    // A duplicate too: nothing is told about what is done.
    let replayed = from_caspay(caspay_body("evt_1"));
    receiver.rejects(replayed, StatusCode::UNAUTHORIZED, R::EventTooOld).await;
    // Milliseconds in the place of seconds would never grow old.
    let future = created("evt_4", &format!(r#""created":{NOW}000,"#));
    receiver.rejects(future, StatusCode::UNAUTHORIZED, R::EventTooOld).await;
    for unsaid in ["", r#""created":null,"#] {
        receiver.cannot_read(created("evt_5", unsaid)).await;
    }
    assert_eq!(verdicts(&receiver.stats()), [("handled", 2), ("event_too_old", 3), ("unreadable", 2)]);
}

#[tokio::test]
async fn without_a_maximum_age_any_age_will_do() {
    let receiver = Receiver::new(caspay::provider());
    receiver.clock.advance(999_999_999 * SECOND);
    receiver.handles(from_caspay(caspay_body("evt_1"))).await;
    let body = caspay_body("evt_2").replace(&format!(r#""created":{NOW},"#), "");
    receiver.handles(from_caspay(body)).await;
}

#[tokio::test]
async fn a_clock_is_suspect_while_most_of_what_is_authentic_is_stale() {
    let receiver = receiver();
    let stats = receiver.stats();
    for attempt in 0..100 {
        receiver.send(forged(&format!("evt_{attempt}"))).await;
    }
    assert!(!stats.clock_suspect(), "a stranger cannot raise it");
    for attempt in 0..7 {
        receiver.send(event_signed_at(&format!("evt_{attempt}"), NOW + 3_600)).await;
        assert!(!stats.clock_suspect(), "a few say nothing");
    }
    receiver.send(event_signed_at("evt_8", NOW - 3_600)).await;
    assert!(stats.clock_suspect());
    assert_eq!(stats.stale_but_authentic(), 8);
    for attempt in 0..7 {
        receiver.send(event(&format!("evt_{attempt}"))).await;
        assert!(stats.clock_suspect(), "still more than half");
    }
    receiver.send(event("evt_8")).await;
    assert!(!stats.clock_suspect());
    assert_eq!(stats.stale_but_authentic(), 8);
}

#[tokio::test]
async fn clones_share_their_numbers_and_an_endpoint_begins_anew() {
    let receiver = receiver();
    let clone = receiver.layer.clone();
    let endpoint = receiver.layer.clone().with_endpoint("eu").unwrap();
    receiver.handles(event("evt_1")).await;
    assert_eq!(verdicts(&clone.stats()), [("handled", 1)]);
    assert!(verdicts(&endpoint.stats()).is_empty());
    endpoint.clone().into_service().oneshot(event("evt_1")).await.unwrap();
    assert_eq!(verdicts(&endpoint.stats()), [("handled", 1)], "another endpoint, another event");
    assert_eq!(verdicts(&clone.stats()), [("handled", 1)]);
}

/// A service that breaks without an answer, when it is called or before.
#[derive(Clone)]
struct Breaks {
    before: bool,
}

impl tower::Service<Request<Body>> for Breaks {
    type Response = Response<Body>;
    type Error = &'static str;
    type Future = Ready<Result<Response<Body>, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(if self.before { Err("not ready") } else { Ok(()) })
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Err("broken"))
    }
}

#[tokio::test]
async fn an_inner_service_that_breaks_is_counted_too() {
    for (before, error) in [(true, "not ready"), (false, "broken")] {
        let receiver = receiver();
        let layer = receiver.layer.clone().with_dispatch(EventRouter::new());
        let log = super::log::Log::listen();
        assert_eq!(layer.layer(Breaks { before }).oneshot(event("evt_1")).await.unwrap_err(), error);
        assert_eq!(verdicts(&receiver.stats()), [("inner_refused", 1)], "{error}");
        assert_eq!(log.deliveries()[0].fields.get("reason"), "inner_refused");
        assert_eq!(receiver.stats().in_flight(), 0);
    }
}
