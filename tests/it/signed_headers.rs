//! Sections B and D of the catalogue of hostile input: what stands in headers beside the signature, signed or not.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use serde::Deserialize;
use tower_webhook::testing::SignedRequest;
use tower_webhook::{
    Accepted, Body, DeadLetter, Delivery, Encoding, Envelope, Event, EventRouter, Pairs, Part, Provider,
    RejectionReason, Secret, Secrets, SignatureScheme,
};

use crate::signature_header::hmac_sha256;
use crate::support::{Calls, NOW, Receiver, SECRET, accepted, caspay_body, reason, secret};

/// Signs as Standard Webhooks has it, with the text of the secret as key.
pub(crate) fn standard_webhooks() -> Provider {
    let scheme = SignatureScheme::hmac_sha256("webhook-signature")
        .with_grammar(Pairs::versions("v1"))
        .with_encoding(Encoding::Base64)
        .with_timestamp_header("webhook-timestamp")
        .with_signed([
            Part::header("webhook-id"),
            Part::literal("."),
            Part::Timestamp,
            Part::literal("."),
            Part::Body,
        ]);
    Provider::builder("standard")
        .signature(scheme)
        .envelope(Envelope::identified_by_header("webhook-id"))
        .build()
        .unwrap()
}

/// The signature of Standard Webhooks over whatever was signed.
pub(crate) fn standard_signature(message: &[u8]) -> String {
    format!("v1,{}", STANDARD.encode(hmac_sha256(SECRET, message)))
}

/// A request with these headers, blanks and repetitions included.
pub(crate) fn request_with(
    headers: &[(&'static str, impl AsRef<[u8]>)],
    body: impl Into<Bytes>,
) -> Request<http_body_util::Full<Bytes>> {
    let mut request = Request::post("/").body(http_body_util::Full::from(body.into())).unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value.as_ref()).unwrap();
        request.headers_mut().append(HeaderName::from_static(name), value);
    }
    request
}

/// A request whose signature is right for `id`, the time as it is written here, and `body`.
fn standard_request(id: &str, time: &str, body: &str) -> Request<http_body_util::Full<Bytes>> {
    let signature = standard_signature(format!("{id}.{time}.{body}").as_bytes());
    let headers = [("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", &signature)];
    request_with(&headers, body.to_owned())
}

#[tokio::test]
async fn t036_id_that_holds_the_separator() {
    let receiver = Receiver::new(standard_webhooks());
    let (now, body) = (NOW.to_string(), caspay_body("evt_1"));
    for id in ["msg.1", ".msg", "msg.", ".", &format!("msg.{NOW}"), ""] {
        receiver.refuses(standard_request(id, &now, &body), RejectionReason::MalformedHeader).await;
    }
    let long = "m".repeat(4_097);
    receiver.refuses(standard_request(&long, &now, &body), RejectionReason::MalformedHeader).await;
    assert_eq!(receiver.stats().macs(), 0, "the body was read");
    receiver.handles(standard_request(&long[1..], &now, &body)).await;
    receiver.handles(standard_request("msg-1", &now, &body)).await;
}

/// The signed bytes of one request, divided into id, time and body in every way that there is: the signature is right
/// for each of them, and one is the sender's.
#[tokio::test]
async fn t036_boundaries_shifted() {
    let body = format!(r#"{{"type":"payment.completed","at":"1.{NOW}.5"}}"#);
    let message = format!("msg_1.{NOW}.{body}");
    let signature = standard_signature(message.as_bytes());
    let dots: Vec<_> = message.match_indices('.').map(|(at, _)| at).collect();
    let (mut divisions, mut handled) = (0, 0);
    for (nth, first) in dots.iter().enumerate() {
        for second in &dots[nth + 1..] {
            let (id, time, rest) = (&message[..*first], &message[first + 1..*second], &message[second + 1..]);
            let receiver = Receiver::new(standard_webhooks());
            let headers =
                [("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", &signature)];
            let response = receiver.send(request_with(&headers, rest.to_owned())).await;
            let right = id == "msg_1" && rest == body;
            let status = if right { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
            assert_eq!(response.status(), status, "{id} | {time} | {rest}");
            assert_eq!(receiver.calls.count(), usize::from(right));
            (divisions, handled) = (divisions + 1, handled + receiver.calls.count());
        }
    }
    assert_eq!((divisions, handled), (10, 1));
}

/// Bytes that no id has, and that no parser of ours gives a meaning: they are signed, or not, like any others.
#[tokio::test]
async fn t036_ids_that_are_no_text() {
    let receiver = Receiver::new(standard_webhooks());
    let body = caspay_body("evt_1");
    for id in [&b"\xff\xfe"[..], b"msg\xa0", "msg_\u{e9}".as_bytes()] {
        let message = [id, format!(".{NOW}.{body}").as_bytes()].concat();
        let (now, signature) = (NOW.to_string(), standard_signature(&message));
        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", now.as_bytes()),
            ("webhook-signature", signature.as_bytes()),
        ];
        let response = receiver.send(request_with(&headers, body.clone())).await;
        if std::str::from_utf8(id).is_ok() {
            assert_eq!(accepted(&response), Some(Accepted::Handled));
        } else {
            // Authentic, but nothing that could be an identity.
            assert_eq!(reason(&response), Some(RejectionReason::Unreadable), "{id:?}");
        }
    }
    assert_eq!(receiver.calls.count(), 1);
}

/// A sender that names its key in a header: the body is signed under one of two.
fn with_key_ids() -> (Receiver, impl Fn(&str, &str) -> Request<http_body_util::Full<Bytes>>) {
    let scheme = SignatureScheme::hmac_sha256("x-acme-signature").with_key_id_header("x-acme-key");
    let provider = Provider::builder("acme").signature(scheme).build().unwrap();
    let second = Secret::new("another-signing-secret").unwrap();
    let secrets = [("key-1".to_owned(), secret()), ("key-2".to_owned(), second)];
    let receiver = Receiver::with_secrets(provider, Secrets::labelled(secrets).unwrap());
    let request = |key: &str, secret: &str| {
        let body = caspay_body("evt_1");
        let signature = const_hex::encode(hmac_sha256(secret, body.as_bytes()));
        request_with(&[("x-acme-key", key), ("x-acme-signature", &signature)], body)
    };
    (receiver, request)
}

#[tokio::test]
async fn t038_key_id_that_nobody_has() {
    let (receiver, request) = with_key_ids();
    for key in [
        "key-3",
        "key-",
        "key-11",
        "KEY-1",
        "key-1,key-2",
        "key-1\tkey-2",
        "*",
        "current",
        "0",
        "../../../etc/passwd",
        "key-1/../key-2",
        "file:///dev/zero",
        "https://attacker.example/jwks.json",
        "' OR 1=1 --",
        "${jndi:ldap://attacker.example}",
        &"k".repeat(256),
    ] {
        let before = receiver.stats().macs();
        receiver.refuses(request(key, SECRET), RejectionReason::SignatureMismatch).await;
        // It takes as long as under a key that exists.
        assert_eq!(receiver.stats().macs(), before + 1, "{key}");
    }
    for key in ["", " ", &"k".repeat(257), &"k".repeat(64 * 1024)] {
        let before = receiver.stats().macs();
        receiver.refuses(request(key, SECRET), RejectionReason::MalformedHeader).await;
        assert_eq!(receiver.stats().macs(), before, "the body was read");
    }
    receiver.handles(request("key-1", SECRET)).await;
}

#[tokio::test]
async fn t038_key_id_of_another_key() {
    let (receiver, request) = with_key_ids();
    receiver.refuses(request("key-2", SECRET), RejectionReason::SignatureMismatch).await;
    receiver.refuses(request("key-1", "another-signing-secret"), RejectionReason::SignatureMismatch).await;
    assert_eq!(receiver.stats().macs(), 2, "one key is tried, and no other");
    receiver.handles(request(" key-2\t", "another-signing-secret")).await;
}

#[tokio::test]
async fn t038_key_id_missing_or_twice() {
    let (receiver, request) = with_key_ids();
    let mut missing = request("key-1", SECRET);
    missing.headers_mut().remove("x-acme-key").unwrap();
    receiver.refuses(missing, RejectionReason::MissingHeader).await;
    for (first, second) in [("key-1", "key-1"), ("key-1", "key-2"), ("key-2", "key-1")] {
        let mut twice = request(first, SECRET);
        twice.headers_mut().append("x-acme-key", HeaderValue::from_static(second));
        receiver.refuses(twice, RejectionReason::DuplicateHeader).await;
    }
    assert_eq!(receiver.stats().macs(), 0, "the body was read");
    receiver.handles(request("key-1", SECRET)).await;
}

/// Signs the body alone; id and type are in headers that it does not sign.
fn unsigned_headers() -> Provider {
    Provider::builder("acme")
        .signature(SignatureScheme::hmac_sha256("x-acme-signature").with_prefix("sha256="))
        .envelope(
            Envelope::identified_by_digest()
                .with_unsigned_id_header("x-acme-delivery")
                .with_event_type_header("x-acme-event"),
        )
        .build()
        .unwrap()
}

/// One captured request, with these headers instead of its own.
fn captured(id: Option<&str>, event_type: &str) -> Request<Body> {
    let (provider, secret) = (unsigned_headers(), secret());
    let mut signed = SignedRequest::new(&provider, &secret, r#"{"ref":"refs/heads/main","forced":true}"#);
    for (name, value) in [("x-acme-delivery", id), ("x-acme-event", Some(event_type))] {
        if let Some(value) = value {
            signed = signed.with_header(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
    }
    signed.build()
}

async fn is_duplicate(receiver: &Receiver, request: Request<Body>) {
    let calls = receiver.calls.count();
    let response = receiver.send(request).await;
    assert_eq!((response.status(), accepted(&response)), (StatusCode::OK, Some(Accepted::Duplicate)));
    assert_eq!(receiver.calls.count(), calls);
}

#[tokio::test]
async fn t089_unsigned_id_is_no_identity() {
    let receiver = Receiver::new(unsigned_headers());
    receiver.handles(captured(Some("first"), "push")).await;
    for id in [Some("first"), Some("second"), Some(""), Some("sha256:00"), None] {
        is_duplicate(&receiver, captured(id, "push")).await;
    }
    let mut twice = captured(Some("third"), "push");
    twice.headers_mut().append("x-acme-delivery", HeaderValue::from_static("fourth"));
    is_duplicate(&receiver, twice).await;
}

#[tokio::test]
async fn t089_unsigned_id_by_choice() {
    let receiver = Receiver::new(unsigned_headers().identify_by_unsigned_header().unwrap());
    receiver.handles(captured(Some("first"), "push")).await;
    is_duplicate(&receiver, captured(Some("first"), "push")).await;
    // The risk that was accepted.
    receiver.handles(captured(Some("second"), "push")).await;
    // Without the header it is told by its digest again, which is an identity of its own.
    receiver.handles(captured(None, "push")).await;
    is_duplicate(&receiver, captured(None, "push")).await;
    // One of two could be chosen by whoever adds the other.
    let mut twice = captured(Some("third"), "push");
    twice.headers_mut().append("x-acme-delivery", HeaderValue::from_static("fourth"));
    receiver.cannot_read(twice).await;
}

#[derive(Debug, Deserialize)]
struct Push {
    #[expect(dead_code, reason = "is there to be required")]
    forced: bool,
}

impl Event for Push {
    const TYPE: &'static str = "push";
}

#[derive(Debug, Deserialize)]
struct Release {
    #[expect(dead_code, reason = "is there to be required")]
    tag: String,
}

impl Event for Release {
    const TYPE: &'static str = "release";
}

/// A receiver with a handler for each of two types; calls of the second are counted apart.
fn two_handlers() -> (Receiver, Calls) {
    let (mut receiver, releases) = (Receiver::new(unsigned_headers()), Calls::default());
    let (pushed, released) = (receiver.calls.clone(), releases.clone());
    let router = EventRouter::new()
        .on(move |_: Push, delivery: Delivery| {
            assert!(!delivery.event_type_is_signed(), "the handler is told");
            pushed.add();
            async {}
        })
        .on(move |_: Release| {
            released.add();
            async {}
        });
    receiver.layer = receiver.layer.with_dispatch(router);
    (receiver, releases)
}

#[tokio::test]
async fn t090_unsigned_type_changed_on_a_captured_body() {
    assert!(!unsigned_headers().signs_event_type() && standard_webhooks().signs_event_type());
    let (receiver, releases) = two_handlers();
    receiver.handles(captured(None, "push")).await;
    // As a type that it was not, its payload fits no handler.
    let response = receiver.send(captured(None, "release")).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(reason(&response), Some(RejectionReason::Unreadable));
    // As one that nobody takes, or none, it reaches no handler at all.
    let response = receiver.send(captured(None, "fork")).await;
    assert_eq!(accepted(&response), Some(Accepted::Unhandled));
    receiver.cannot_read(captured(None, "")).await;
    assert_eq!((receiver.calls.count(), releases.count()), (1, 0));
}

#[tokio::test]
async fn t090_unsigned_type_changed_is_dead_lettered() {
    let (mut receiver, releases) = two_handlers();
    let letters = Arc::<Mutex<Vec<_>>>::default();
    let kept = Arc::clone(&letters);
    receiver.layer = receiver.layer.with_dead_letter(move |letter: DeadLetter| {
        let delivery = letter.delivery();
        kept.lock().unwrap().push((delivery.event_type().to_owned(), delivery.event_type_is_signed()));
        async { Ok::<_, std::convert::Infallible>(()) }
    });
    let response = receiver.send(captured(None, "release")).await;
    assert_eq!((response.status(), accepted(&response)), (StatusCode::OK, Some(Accepted::DeadLettered)));
    assert_eq!(*letters.lock().unwrap(), [("release".to_owned(), false)]);
    assert_eq!((receiver.calls.count(), releases.count()), (0, 0));
}

/// Nothing would ever ask for such a mark again, and it would push out those of others.
#[tokio::test]
async fn what_nothing_tells_apart_runs_each_time_and_leaves_no_mark() {
    let dropbox = tower_webhook::provider::dropbox::provider;
    let receiver = Receiver::new(dropbox());
    for _ in 0..3 {
        let body = r#"{"list_folder":{"accounts":["dbid:AAH4f99T0"]}}"#;
        receiver.handles(SignedRequest::new(&dropbox(), &secret(), body).build()).await;
    }
    assert_eq!((receiver.calls.count(), receiver.store_calls()), (3, 0));
}
