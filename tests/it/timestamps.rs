//! Section C of the catalogue of hostile input: timestamps and replay.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, StatusCode};
use tower_webhook::testing::SignedRequest;
use tower_webhook::{
    Accepted, Body, ConfigError, Part, Provider, RejectionReason, SignatureScheme, Timing, casapay, caspay,
};

use crate::signature_header::with_signature;
use crate::support::{NOW, Receiver, accepted, casapay_body, caspay_body, from_casapay, from_caspay, secret};

const TOLERANCE: u64 = 300;

/// The event `id`, signed by CasaPay at this time.
fn signed_at(id: &str, seconds: u64) -> Request<Body> {
    let body = casapay_body(id, "invoice.paid");
    SignedRequest::new(&casapay::provider(), &secret(), body).at_unix(seconds).build()
}

/// The same, with a wrong signature.
fn forged_at(id: &str, seconds: u64) -> Request<Body> {
    let header = format!("t={seconds},v1={}", "00".repeat(32));
    with_signature(signed_at(id, seconds), &casapay::provider(), header)
}

#[tokio::test]
async fn t039_edges_of_the_tolerance() {
    let receiver = Receiver::new(casapay::provider());
    receiver.handles(signed_at("oldest", NOW - TOLERANCE)).await;
    receiver.handles(signed_at("newest", NOW + TOLERANCE)).await;
    receiver.refuses(signed_at("older", NOW - TOLERANCE - 1), RejectionReason::TimestampTooOld).await;
    receiver.refuses(signed_at("newer", NOW + TOLERANCE + 1), RejectionReason::TimestampInFuture).await;
}

#[tokio::test]
async fn t039_tolerance_of_ones_own() {
    let tolerance = Duration::from_secs(10);
    let receiver = Receiver::new(casapay::provider().with_tolerance(tolerance).unwrap());
    receiver.handles(signed_at("oldest", NOW - 10)).await;
    receiver.handles(signed_at("newest", NOW + 10)).await;
    receiver.refuses(signed_at("older", NOW - 11), RejectionReason::TimestampTooOld).await;
    receiver.refuses(signed_at("newer", NOW + 11), RejectionReason::TimestampInFuture).await;
}

#[tokio::test]
async fn t040_authentic_but_stale() {
    let receiver = Receiver::new(casapay::provider());
    let stats = receiver.stats();
    receiver.refuses(signed_at("evt_1", NOW - 301), RejectionReason::TimestampTooOld).await;
    assert_eq!((stats.stale_but_authentic(), stats.macs()), (1, 1));
    receiver.refuses(signed_at("evt_1", NOW + 301), RejectionReason::TimestampInFuture).await;
    assert_eq!((stats.stale_but_authentic(), stats.macs()), (2, 2));
    assert_eq!(stats.rejected(RejectionReason::SignatureMismatch), 0);
    receiver.handles(signed_at("evt_1", NOW)).await;
    assert_eq!(stats.stale_but_authentic(), 2);
}

#[tokio::test]
async fn t041_forged_and_stale_is_forged() {
    let receiver = Receiver::new(casapay::provider());
    let stats = receiver.stats();
    for seconds in [NOW - 301, NOW + 301, 0, NOW] {
        receiver.refuses(forged_at("evt_1", seconds), RejectionReason::SignatureMismatch).await;
    }
    assert_eq!(stats.rejected(RejectionReason::SignatureMismatch), 4);
    assert_eq!((stats.stale_but_authentic(), stats.macs()), (0, 4));
    receiver.handles(signed_at("evt_1", NOW)).await;
}

#[test]
fn t042_tolerance_without_a_signed_timestamp() {
    let tolerance = Duration::from_secs(TOLERANCE);
    let error = ConfigError::ToleranceWithoutTimestamp;
    assert_eq!(caspay::provider().with_tolerance(tolerance).unwrap_err(), error);
    let build = |scheme: SignatureScheme| {
        Provider::builder("acme").signature(scheme.with_tolerance(tolerance)).build()
    };
    let whole = SignatureScheme::hmac_sha256("x-acme-signature");
    assert_eq!(build(whole.clone()).unwrap_err(), error);
    assert_eq!(build(whole.clone().with_prefix("sha256=")).unwrap_err(), error);
    assert_eq!(build(whole.with_pairs("t", "v1")).unwrap().tolerance(), Some(tolerance));
    assert_eq!(casapay::provider().with_tolerance(tolerance).unwrap().tolerance(), Some(tolerance));
}

/// A timestamp that the MAC does not cover can be written by anybody: a scheme that has one cannot be built.
#[test]
fn t043_unsigned_timestamp_is_no_scheme() {
    let build = |signed: &[Part]| {
        let scheme = SignatureScheme::hmac_sha256("x-acme-signature").with_pairs("t", "v1");
        Provider::builder("acme").signature(scheme.with_signed(signed.iter().cloned())).build()
    };
    assert_eq!(
        build(&[Part::Body]).unwrap_err(),
        ConfigError::InvalidScheme { problem: "the header has a timestamp that is not signed" }
    );
    assert!(build(&[Part::Timestamp, Part::Body]).is_ok());
}

/// A fresh time in a header beside the signature makes nothing fresh, and an old one nothing stale.
#[tokio::test]
async fn t043_unsigned_timestamp_is_not_read() {
    let dated = |request: Request<Body>, seconds: u64| {
        let mut request = request;
        for name in ["x-caspay-timestamp", "x-timestamp", "webhook-timestamp"] {
            let name = HeaderName::from_static(name);
            request.headers_mut().insert(name, HeaderValue::from(seconds));
        }
        request
    };
    let caspay = Receiver::new(caspay::provider());
    caspay.handles(dated(from_caspay(caspay_body("evt_1")), NOW - 86_400)).await;
    let replay = caspay.send(dated(from_caspay(caspay_body("evt_1")), NOW)).await;
    assert_eq!(accepted(&replay), Some(Accepted::Duplicate));
    assert_eq!(caspay.calls.count(), 1);

    let casapay = Receiver::new(casapay::provider());
    let stale = dated(signed_at("evt_1", NOW - 301), NOW);
    casapay.refuses(stale, RejectionReason::TimestampTooOld).await;
    casapay.handles(dated(signed_at("evt_1", NOW), NOW - 301)).await;
}

#[tokio::test]
async fn t044_replay_within_the_tolerance() {
    let receiver = Receiver::new(casapay::provider());
    receiver.handles(signed_at("evt_1", NOW)).await;
    receiver.clock.advance(Duration::from_secs(TOLERANCE));
    let replay = receiver.send(signed_at("evt_1", NOW)).await;
    assert_eq!((replay.status(), accepted(&replay)), (StatusCode::OK, Some(Accepted::Duplicate)));
    assert_eq!(receiver.calls.count(), 1);
    receiver.clock.advance(Duration::from_secs(1));
    receiver.refuses(signed_at("evt_1", NOW), RejectionReason::TimestampTooOld).await;
}

/// A request dated as far ahead as is allowed stays valid for twice the tolerance. Its done mark must live as
/// long, with the shortest retention that can be configured.
#[tokio::test]
async fn t045_replay_of_a_future_timestamp() {
    let window = Duration::from_secs(2 * TOLERANCE);
    let timing = Timing::for_provider(&casapay::provider()).with_retention(window);
    let mut receiver = Receiver::new(casapay::provider());
    receiver.layer = receiver.layer.with_timing(timing.clone()).unwrap();
    let request = || signed_at("evt_1", NOW + TOLERANCE);
    receiver.handles(request()).await;
    receiver.clock.advance(window - Duration::from_secs(1));
    let replay = receiver.send(request()).await;
    assert_eq!(accepted(&replay), Some(Accepted::Duplicate));
    assert_eq!(receiver.calls.count(), 1);
    receiver.clock.advance(Duration::from_secs(2));
    receiver.refuses(request(), RejectionReason::TimestampTooOld).await;

    let short = timing.with_retention(window - Duration::from_secs(1));
    let error = receiver.layer.with_timing(short).unwrap_err();
    assert!(
        matches!(error, ConfigError::InvalidTiming { rule: "retention >= 2 x tolerance", .. }),
        "{error}"
    );
}

#[tokio::test]
async fn t046_clock_of_this_machine_is_wrong() {
    for wrong in [NOW - 600, NOW + 600] {
        let receiver = Receiver::new(casapay::provider());
        let stats = receiver.stats();
        let reason =
            if wrong > NOW { RejectionReason::TimestampTooOld } else { RejectionReason::TimestampInFuture };
        receiver.clock.set_unix(wrong);
        // Forgeries say nothing about the clock, however many there are.
        for _ in 0..100 {
            receiver.refuses(forged_at("evt_1", NOW), RejectionReason::SignatureMismatch).await;
        }
        assert!(!stats.clock_suspect());
        // The tolerance never widens by itself: the hundredth is refused like the first.
        for _ in 0..100 {
            receiver.refuses(signed_at("evt_1", NOW), reason).await;
        }
        assert!(stats.clock_suspect());
        assert_eq!(stats.stale_but_authentic(), 100);
        // Corrected, it is trusted again once most of the latest deliveries are in time.
        receiver.clock.set_unix(NOW);
        for event in 0..32 {
            assert!(stats.clock_suspect(), "event {event}");
            receiver.handles(signed_at(&format!("evt_{event}"), NOW)).await;
        }
        assert!(!stats.clock_suspect());
    }
}

#[tokio::test]
async fn t046_few_stale_deliveries_are_no_suspicion() {
    let receiver = Receiver::new(casapay::provider());
    for event in 0..100 {
        receiver.handles(signed_at(&format!("evt_{event}"), NOW)).await;
        receiver.handles(signed_at(&format!("evt_{event}b"), NOW)).await;
        receiver.refuses(signed_at("stale", NOW - 301), RejectionReason::TimestampTooOld).await;
        assert!(!receiver.stats().clock_suspect());
    }
}

/// A step back judges the next requests by the new time, and forgets nothing that was done.
#[tokio::test]
async fn t047_clock_steps_backwards() {
    let receiver = Receiver::new(casapay::provider());
    receiver.handles(signed_at("evt_1", NOW)).await;
    for step in [1, 60, TOLERANCE, TOLERANCE + 1, 86_400, NOW] {
        receiver.clock.set_unix(NOW - step);
        let response = receiver.send(signed_at("evt_1", NOW)).await;
        let expected = if step <= TOLERANCE { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert_eq!(response.status(), expected, "a step of {step} s");
        receiver.handles(signed_at(&format!("after {step}"), NOW - step)).await;
    }
    assert_eq!(receiver.calls.count(), 7);
    receiver.clock.set_unix(NOW);
    receiver.handles(from_casapay(casapay_body("evt_2", "invoice.paid"))).await;
}

/// An age cannot become negative either; an event from as far in the future is refused like one from the past.
#[tokio::test]
async fn t047_events_created_after_now() {
    let mut receiver = Receiver::new(caspay::provider());
    receiver.layer = receiver.layer.with_max_event_age(Duration::from_secs(60)).unwrap();
    for (id, now, status) in [
        ("evt_1", NOW - 60, StatusCode::OK),
        ("evt_2", NOW - 61, StatusCode::UNAUTHORIZED),
        ("evt_2", 0, StatusCode::UNAUTHORIZED),
        ("evt_3", NOW + 60, StatusCode::OK),
        ("evt_4", NOW + 61, StatusCode::UNAUTHORIZED),
    ] {
        receiver.clock.set_unix(now);
        let response = receiver.send(from_caspay(caspay_body(id))).await;
        assert_eq!(response.status(), status, "{id}");
    }
    assert_eq!(receiver.calls.count(), 2);
}
