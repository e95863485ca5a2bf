//! One span a delivery, and the lines within it.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;

use futures_util::future::join;
use tokio::sync::Semaphore;
use tower_webhook::testing::SignedRequest;
use tower_webhook::testing::faulty::{Fault, Operation};
use tower_webhook::{
    Accepted, DeadLetter, Delivery, HandlerError, Outcome, RejectionReason as R, Secret, Secrets, casapay,
};
use tracing::Level;

use super::log::{Line, Log, Span};
use super::{
    SECOND, event, event_signed_at, forged, from, receiver, refusals, with_handler, without_signature,
};
use crate::support::{NOW, Receiver, accepted, casapay_body, reason, secret};

/// The only span of a delivery so far, closed.
fn only(log: &Log) -> Span {
    let spans = log.deliveries();
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert!(spans[0].closed, "a handle to the span is kept");
    spans[0].clone()
}

/// The fields of a span with their values, but the latency.
fn fields(span: &Span) -> [&str; 6] {
    ["provider", "event_id", "event_type", "secret", "outcome", "reason"].map(|name| span.fields.get(name))
}

fn one(lines: Vec<Line>) -> Line {
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.into_iter().next().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_accepted_delivery_is_one_span() {
    let receiver = with_handler(receiver(), async |_| tokio::time::sleep(SECOND * 3 / 2).await);
    let log = Log::listen();
    receiver.send(event("evt_1")).await;
    let span = only(&log);
    assert_eq!(span.level, Level::INFO);
    assert_eq!(fields(&span), ["casapay", "evt_1", "invoice.paid", "current", "accepted", "handled"]);
    assert_eq!(span.fields.get("latency_ms"), "1500.0");
    let all =
        BTreeSet::from(["event_id", "event_type", "latency_ms", "outcome", "provider", "reason", "secret"]);
    assert_eq!(span.fields.names().into_iter().collect::<BTreeSet<_>>(), all, "no other field");
}

#[tokio::test(start_paused = true)]
async fn so_is_a_duplicate_and_a_refusal() {
    let receiver = receiver();
    receiver.handles(event("evt_1")).await;

    let log = Log::listen();
    receiver.send(event("evt_1")).await;
    let span = only(&log);
    assert_eq!(fields(&span), ["casapay", "evt_1", "invoice.paid", "current", "accepted", "duplicate"]);
    assert_eq!(span.fields.get("latency_ms"), "0.0");
    drop(log);

    // Nothing that a stranger wrote is in the span: it has no id, no type and no secret.
    for (reason, request) in refusals() {
        let log = Log::listen();
        receiver.send(request).await;
        let span = only(&log);
        assert_eq!(fields(&span), ["casapay", "", "", "", "rejected", reason.as_str()]);
        assert_eq!(span.fields.get("latency_ms"), "0.0", "{reason}");
    }
}

#[tokio::test]
async fn the_span_names_the_endpoint_and_the_secret() {
    let previous = || Secret::new("whsec_the-secret-before-the-rotation").unwrap();
    let secrets = Secrets::from(secret()).with_secret("previous", previous()).unwrap();
    let mut receiver = Receiver::with_secrets(casapay::provider(), secrets);
    receiver.layer = receiver.layer.with_endpoint("eu").unwrap();
    let log = Log::listen();
    let body = casapay_body("evt_1", "invoice.paid");
    receiver.send(SignedRequest::new(&casapay::provider(), &previous(), body).at_unix(NOW).build()).await;
    let span = only(&log);
    assert_eq!(fields(&span), ["casapay/eu", "evt_1", "invoice.paid", "previous", "accepted", "handled"]);
}

#[tokio::test]
async fn what_the_sender_wrote_is_cut_and_cleaned() {
    let receiver = receiver();
    let log = Log::listen();
    let id = format!(r"evt\n\u001b[31m{}", "x".repeat(1_000));
    receiver.handles(from(&casapay::provider(), casapay_body(&id, r"a\r\nb"))).await;
    let span = only(&log);
    let shown = span.fields.get("event_id");
    assert!(shown.starts_with("evt\u{fffd}\u{fffd}[31mxxx"), "{shown}");
    assert_eq!(shown.chars().count(), 128);
    assert_eq!(span.fields.get("event_type"), "a\u{fffd}\u{fffd}b");
}

#[tokio::test]
async fn every_refusal_warns_with_a_hint() {
    for (reason, request) in refusals() {
        let (receiver, log) = (receiver(), Log::listen());
        receiver.send(request).await;
        let line = one(log.at(Level::WARN));
        assert_eq!(line.message(), "webhook delivery refused");
        assert_eq!(line.fields.get("reason"), reason.as_str());
        assert_eq!(line.fields.get("provider"), "casapay");
        assert_eq!(line.fields.get("suppressed"), "0");
        assert!(!line.fields.get("hint").is_empty(), "{reason} has no hint");
        assert_eq!(line.span.unwrap().get("provider"), "casapay", "within the span of the delivery");
        assert!(log.at(Level::ERROR).is_empty() && log.at(Level::INFO).is_empty());
    }
}

#[tokio::test]
async fn a_wrong_secret_is_the_first_hint() {
    let (receiver, log) = (receiver(), Log::listen());
    receiver.send(forged("evt_1")).await;
    let line = one(log.at(Level::WARN));
    assert!(line.fields.get("hint").starts_with("a wrong secret is the commonest cause"), "{line:?}");
}

#[tokio::test]
async fn a_flood_of_forgeries_is_one_line_a_second() {
    let (receiver, log) = (receiver(), Log::listen());
    let suppressed = |log: &Log| {
        let lines = log.at(Level::WARN);
        log.clear();
        lines.iter().map(|line| line.fields.get("suppressed").to_owned()).collect::<Vec<_>>()
    };
    for _ in 0..5 {
        receiver.send(forged("evt_1")).await;
    }
    assert_eq!(suppressed(&log), ["0"]);
    // Each reason has a rate of its own.
    receiver.send(without_signature()).await;
    assert_eq!(suppressed(&log), ["0"]);
    receiver.clock.advance(SECOND - std::time::Duration::from_nanos(1));
    receiver.send(forged("evt_1")).await;
    assert!(suppressed(&log).is_empty());
    receiver.clock.advance(std::time::Duration::from_nanos(1));
    receiver.send(forged("evt_1")).await;
    assert_eq!(suppressed(&log), ["5"], "four, and one a nanosecond too early");
    receiver.clock.advance(60 * SECOND);
    receiver.send(forged("evt_1")).await;
    receiver.send(without_signature()).await;
    assert_eq!(suppressed(&log), ["0", "0"]);
    // Lines are bounded; spans and counters are not.
    assert_eq!(receiver.stats().rejected(R::SignatureMismatch), 8);
    assert_eq!(log.deliveries().len(), 10);
}

#[tokio::test]
async fn the_wall_clock_does_not_lift_the_limit() {
    let (receiver, log) = (receiver(), Log::listen());
    receiver.send(forged("evt_1")).await;
    receiver.clock.set_unix(NOW + 3_600);
    receiver.send(forged("evt_1")).await;
    assert_eq!(log.at(Level::WARN).len(), 1);
}

#[tokio::test]
async fn an_event_that_is_too_old_is_refused_with_a_hint() {
    let mut receiver = receiver();
    receiver.layer = receiver.layer.with_max_event_age(60 * SECOND).unwrap();
    receiver.clock.advance(61 * SECOND);
    let log = Log::listen();
    assert_eq!(reason(&receiver.send(event("evt_1")).await), Some(R::EventTooOld));
    let line = one(log.at(Level::WARN));
    assert_eq!(line.fields.get("reason"), "event_too_old");
    assert!(line.fields.get("hint").contains("with_max_event_age"), "{line:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_is_an_error_within_its_span() {
    async fn panics() -> Outcome {
        panic!("out of range")
    }
    type Broken = fn(Receiver) -> Receiver;
    let cases: [(R, &str, Broken); 4] = [
        (R::HandlerFailed, "the ledger is locked", |r| {
            with_handler(r, async |_| HandlerError::retry("the ledger is locked"))
        }),
        (R::Permanent, "the account is closed", |r| {
            with_handler(r, async |_| HandlerError::permanent("the account is closed"))
        }),
        (R::HandlerPanicked, "the handler panicked", |r| with_handler(r, |_| panics())),
        (R::HandlerTimeout, "the handler ran into its timeout", |mut r| {
            let timing = r.layer.timing().clone();
            let limit = timing.handler_timeout();
            r.layer = r.layer.with_timing(timing.with_respond_by(limit)).unwrap();
            with_handler(r, |_| pending::<()>())
        }),
    ];
    for (expected, error, broken) in cases {
        let receiver = broken(receiver());
        let log = Log::listen();
        assert_eq!(reason(&receiver.send(event("evt_1")).await), Some(expected));
        let line = one(log.at(Level::ERROR));
        assert_eq!(line.message(), "webhook handler did not do its work");
        assert_eq!(line.fields.get("error"), error);
        assert_eq!(line.fields.get("reason"), expected.as_str());
        assert_eq!((line.fields.get("event_id"), line.fields.get("event_type")), ("evt_1", "invoice.paid"));
        assert_eq!(line.span.unwrap().get("event_id"), "evt_1");
        assert!(log.at(Level::WARN).is_empty(), "not the sender's fault");
        assert_eq!(one(log.at(Level::INFO)).message(), "webhook delivery not accepted");
    }
}

#[tokio::test]
async fn a_dead_letter_is_an_error_and_so_is_one_that_is_lost() {
    let permanent = async |_: Delivery| HandlerError::permanent("the account is closed");
    let mut kept = with_handler(receiver(), permanent);
    kept.layer = kept.layer.with_dead_letter(async |_: DeadLetter| Ok::<_, std::io::Error>(()));
    let log = Log::listen();
    assert_eq!(accepted(&kept.send(event("evt_1")).await), Some(Accepted::DeadLettered));
    assert_eq!(one(log.at(Level::ERROR)).fields.get("error"), "the account is closed");
    drop(log);

    let mut lost = with_handler(receiver(), permanent);
    lost.layer = lost.layer.with_dead_letter(async |_: DeadLetter| Err::<(), _>("the disk is full"));
    let log = Log::listen();
    assert_eq!(reason(&lost.send(event("evt_1")).await), Some(R::Permanent));
    let lines = log.at(Level::ERROR);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0].message(), "dead letter could not be handed over");
    assert_eq!(
        (lines[0].fields.get("error"), lines[0].fields.get("event_id")),
        ("the disk is full", "evt_1")
    );
    assert_eq!(lines[1].fields.get("error"), "the account is closed");
}

#[tokio::test]
async fn an_unreadable_event_is_an_error() {
    let (receiver, log) = (receiver(), Log::listen());
    receiver.cannot_read(from(&casapay::provider(), r#"{"type":"invoice.paid"}"#)).await;
    let line = one(log.at(Level::ERROR));
    assert_eq!(line.message(), "authentic webhook delivery is unreadable");
    assert!(line.fields.get("error").contains("id"), "{line:?}");
    assert_eq!(only(&log).fields.get("reason"), "unreadable");
}

#[tokio::test]
async fn a_failing_store_is_an_error_with_its_cause() {
    for (operation, name) in [(Operation::Claim, "claim"), (Operation::Complete, "complete")] {
        let (receiver, log) = (receiver(), Log::listen());
        receiver.store.next(operation, 1, Fault::Unavailable);
        receiver.send(event("evt_1")).await;
        let line = one(log.at(Level::ERROR));
        assert_eq!(line.message(), "webhook deduplication store failed");
        assert_eq!((line.fields.get("operation"), line.fields.get("provider")), (name, "casapay"));
        assert!(line.fields.get("cause").starts_with("injected fault"), "{line:?}");
        assert_eq!(line.span.unwrap().get("event_id"), "evt_1");
    }
}

/// Two handlers outlive their requests and take turns: each goes on in the span of its own delivery.
#[tokio::test(start_paused = true)]
async fn a_moved_handler_logs_within_its_own_span() {
    let turns = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&turns);
    let receiver = with_handler(receiver(), move |delivery: Delivery| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            tracing::info!(id = delivery.id(), "goes on");
            gate.acquire().await.unwrap().forget();
            tracing::info!(id = delivery.id(), "gives up");
            HandlerError::retry("in vain")
        }
    });
    let log = Log::listen();
    let (first, second) = join(receiver.send(event("evt_1")), receiver.send(event("evt_2"))).await;
    assert_eq!([reason(&first), reason(&second)], [Some(R::RespondByPassed); 2]);
    assert_eq!(receiver.stats().moved(), 2);
    log.clear();
    turns.add_permits(4);
    assert!(receiver.layer.shutdown().drain(SECOND).await.is_complete());

    let (said, failed) = (log.at(Level::INFO), log.at(Level::ERROR));
    let (late, said): (Vec<_>, Vec<_>) = said
        .into_iter()
        .partition(|line| line.fields.get("message").starts_with("webhook delivery finished"));
    assert_eq!((said.len(), late.len(), failed.len()), (4, 2, 2), "{said:?}");
    assert!(late.iter().all(|line| line.fields.get("reason") == "handler_failed"), "how it ended");
    let ours = late.iter().chain(&failed).map(|line| (line, "event_id"));
    for (line, id) in said.iter().map(|line| (line, "id")).chain(ours) {
        assert_eq!(line.span.as_ref().unwrap().get("event_id"), line.fields.get(id), "{line:?}");
    }
    let spans = log.deliveries();
    assert_eq!(spans.len(), 2, "moving begins no span: {spans:?}");
    for span in spans {
        assert!(span.closed);
        assert_eq!(span.fields.get("reason"), "respond_by_passed", "what the sender was told");
    }
}

#[tokio::test]
async fn a_clock_that_is_off_warns_once() {
    let (receiver, log) = (receiver(), Log::listen());
    for attempt in 0..20 {
        receiver.send(event_signed_at(&format!("evt_{attempt}"), NOW - 3_600)).await;
    }
    let alarms = log.at(Level::WARN).into_iter().filter(|line| line.message().contains("clock wrong"));
    let alarm = one(alarms.collect());
    assert_eq!(alarm.fields.get("signed"), (NOW - 3_600).to_string());
    assert_eq!(alarm.fields.get("now"), NOW.to_string());
}

#[tokio::test]
async fn a_changed_api_version_is_a_debug_line() {
    let (receiver, log) = (receiver(), Log::listen());
    let body = casapay_body("evt_1", "invoice.paid").replace("2025-01-15", "2026-02-01");
    receiver.handles(from(&casapay::provider(), body)).await;
    let lines = log.at(Level::DEBUG);
    let line = one(lines.into_iter().filter(|line| line.message().contains("api_version")).collect());
    assert!(line.fields.get("found").contains("2026-02-01"), "{line:?}");
    assert_eq!(line.fields.get("expected"), "2025-01-15");
}

/// An application that logs nothing must work all the same: spans are disabled then.
#[tokio::test]
async fn without_a_subscriber_deliveries_are_counted() {
    let receiver = receiver();
    receiver.handles(event("evt_1")).await;
    receiver.send(forged("evt_2")).await;
    let stats = receiver.stats();
    assert_eq!((stats.accepted(Accepted::Handled), stats.rejected(R::SignatureMismatch)), (1, 1));
}

/// Whatever becomes of an authentic event, its span says which it was and which secret signed it.
#[tokio::test]
async fn authentic_events_are_identified_though_no_handler_sees_them() {
    let mut receiver = receiver();
    receiver.layer = receiver.layer.require_live_mode().unwrap().with_max_event_age(60 * SECOND).unwrap();
    let test = casapay_body("evt_1", "invoice.paid").replace("true", "false");
    let old = casapay_body("evt_1", "invoice.paid").replace(&format!("{NOW}"), &format!("{}", NOW - 61));
    for (body, outcome, reason) in [(test, "accepted", "test_event"), (old, "rejected", "event_too_old")] {
        let log = Log::listen();
        receiver.send(from(&casapay::provider(), body)).await;
        assert_eq!(fields(&only(&log)), ["casapay", "evt_1", "invoice.paid", "current", outcome, reason]);
    }
    let log = Log::listen();
    receiver.cannot_read(from(&casapay::provider(), "{}")).await;
    assert_eq!(fields(&only(&log)), ["casapay", "", "", "current", "rejected", "unreadable"]);
}
