//! Verification by code: the two examples against vectors that their providers publish, and what the layer owes to
//! any [`Verify`].

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::Full;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::EncodePublicKey as _;
use proptest::prelude::*;
use serde_json::Value;
use sha1::Sha1;
use tower::ServiceExt as _;
use tower_webhook::{
    Accepted, Authentic, ConfigError, Delivery, Envelope, EventRouter, Provider, RejectionReason, Secret,
    Secrets, Timing, Unverified, Verify,
};

use crate::support::{NOW, Receiver, accepted, reason};

#[path = "../../examples/sendgrid/verify.rs"]
mod sendgrid;
#[path = "../../examples/twilio/verify.rs"]
mod twilio;

use self::sendgrid::SendGrid;
use self::twilio::Twilio;

const FORM: &str = "application/x-www-form-urlencoded";
const TOLERANCE: Duration = Duration::from_secs(300);

fn twilio(public_url: &str) -> Provider {
    let envelope = Envelope::identified_by_digest().opaque("twilio.request");
    let provider = Provider::builder("twilio").verify_with(Twilio).envelope(envelope).build().unwrap();
    provider.with_public_url(public_url).unwrap()
}

fn sendgrid(tolerance: Duration) -> Provider {
    let envelope = Envelope::identified_by_body().opaque("sendgrid.events");
    let verify = SendGrid::new(tolerance);
    Provider::builder("sendgrid").verify_with(verify).envelope(envelope).build().unwrap()
}

/// A request as it comes in: the path and the query of `url`, headers and body.
fn request(url: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let uri: Uri = url.parse().unwrap();
    let mut request = Request::post(uri.path_and_query().unwrap().as_str());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.into())).unwrap()
}

/// What a receiver answers, in one word.
async fn verdict(receiver: &Receiver, request: Request<Full<Bytes>>) -> &'static str {
    let response = receiver.send(request).await;
    match reason(&response) {
        None => {
            assert_eq!(response.status(), StatusCode::OK);
            "verified"
        }
        Some(reason) => {
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{reason}");
            reason.as_str()
        }
    }
}

/// Twilio's documentation, "Webhooks Security": the example that it has now, and the one that it had before.
mod documented {
    pub(super) const URL: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
    pub(super) const TOKEN: &str = "12345";
    pub(super) const BODY: &str =
        "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212";
    pub(super) const SIGNATURE: &str = "RSOYDt4T1cUTdK1PDd93/VVr8B8=";
    pub(super) const OLDER_BODY: &str =
        "Digits=1234&To=%2B18005551212&From=%2B12349013030&Caller=%2B12349013030&CallSid=CA1234567890ABCDE";
    pub(super) const OLDER_SIGNATURE: &str = "0/KCTR6DLpKmkAf8muzZqo1nDgQ=";
}

fn token() -> Secret {
    Secret::weak(documented::TOKEN).unwrap()
}

fn from_twilio(signature: &str, body: &'static str) -> Request<Full<Bytes>> {
    request(documented::URL, &[("content-type", FORM), ("x-twilio-signature", signature)], body)
}

#[tokio::test]
async fn twilios_documented_examples() {
    use documented::{BODY, OLDER_BODY, OLDER_SIGNATURE, SIGNATURE, URL};

    let receiver = Receiver::with_secrets(twilio(URL), token().into());
    assert_eq!(verdict(&receiver, from_twilio(SIGNATURE, BODY)).await, "verified");
    assert_eq!(verdict(&receiver, from_twilio(OLDER_SIGNATURE, OLDER_BODY)).await, "verified");
    assert_eq!(verdict(&receiver, from_twilio(SIGNATURE, OLDER_BODY)).await, "signature_mismatch");
    assert_eq!(receiver.calls.count(), 2);

    // Another path or host on record, and another query in the request.
    let headers = [("content-type", FORM), ("x-twilio-signature", SIGNATURE)];
    let other = request("https://mycompany.com/myapp.php?foo=1&bar=3", &headers, BODY);
    assert_eq!(verdict(&receiver, other).await, "signature_mismatch");
    for url in [
        "https://mycompany.com/myapp.ph",
        "https://mycompany.org/myapp.php",
        "http://mycompany.com/myapp.php",
    ] {
        let receiver = Receiver::with_secrets(twilio(url), token().into());
        assert_eq!(verdict(&receiver, from_twilio(SIGNATURE, BODY)).await, "signature_mismatch", "{url}");
    }
}

/// From the tests of SendGrid's own library for Node.js.
mod published {
    pub(super) const KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==";
    pub(super) const OTHER_KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqTxd43gyp8IOEto2LdIfjRQrIbsd4SXZkLW6jDutdhXSJCWHw8REntlo7aNDthvj+y7GjUuFDb/R1NGe1OPzpA==";
    pub(super) const SIGNATURE: &str =
        "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=";
    pub(super) const SIGNED_AT: u64 = 1_600_112_502;
    pub(super) const BODY: &str = "[{\"email\":\"hello@world.com\",\"event\":\"dropped\",\"reason\":\"Bounced Address\",\"sg_event_id\":\"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA\",\"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0\",\"smtp-id\":\"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>\",\"timestamp\":1600112492}]\r\n";
}

fn from_sendgrid(signature: &str, timestamp: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let headers = [
        (sendgrid::SIGNATURE.as_str(), signature),
        (sendgrid::TIMESTAMP.as_str(), timestamp),
        ("content-type", "application/json"),
    ];
    request("https://example.test/webhook", &headers, body)
}

fn as_published() -> Request<Full<Bytes>> {
    from_sendgrid(published::SIGNATURE, &published::SIGNED_AT.to_string(), published::BODY)
}

#[tokio::test]
async fn sendgrids_published_vector_and_its_tolerance() {
    let key = || Secret::new(published::KEY).unwrap();
    for (now, expected) in [
        (published::SIGNED_AT - 301, "timestamp_in_future"),
        (published::SIGNED_AT - 300, "verified"),
        (published::SIGNED_AT + 300, "verified"),
        (published::SIGNED_AT + 301, "timestamp_too_old"),
    ] {
        let receiver = Receiver::with_secrets(sendgrid(TOLERANCE), key().into());
        receiver.clock.set_unix(now);
        assert_eq!(verdict(&receiver, as_published()).await, expected, "{now}");
        let counted = (receiver.calls.count(), receiver.stats().stale_but_authentic());
        assert_eq!(counted, if expected == "verified" { (1, 0) } else { (0, 1) });
    }
    let other =
        Receiver::with_secrets(sendgrid(TOLERANCE), Secret::new(published::OTHER_KEY).unwrap().into());
    other.clock.set_unix(published::SIGNED_AT);
    assert_eq!(verdict(&other, as_published()).await, "signature_mismatch");
    let receiver = Receiver::with_secrets(sendgrid(TOLERANCE), key().into());
    receiver.clock.set_unix(published::SIGNED_AT);
    let seconds = published::SIGNED_AT.to_string();
    assert_eq!(
        verdict(&receiver, from_sendgrid(published::SIGNATURE, &seconds, "payload")).await,
        "signature_mismatch"
    );
    // Digits that move from the body to the timestamp, or back, are signed all the same.
    let moved = from_sendgrid(published::SIGNATURE, "160011250", format!("2{}", published::BODY));
    assert_eq!(verdict(&receiver, moved).await, "timestamp_too_old");
    let moved = from_sendgrid(published::SIGNATURE, "1600112502[", &published::BODY[1..]);
    assert_eq!(verdict(&receiver, moved).await, "malformed_timestamp");
}

/// The vectors of a collection that is not part of this crate: `(verified, all)`.
#[allow(clippy::print_stderr, reason = "a test that does not run says so")]
async fn collected(scheme: &str, provider: impl Fn(&str) -> Provider) -> Option<(usize, usize)> {
    let path = crate::vectors::collection::path();
    let Ok(file) = std::fs::read_to_string(&path) else {
        eprintln!("!!! SKIPPED: there is no collection of vectors at {}", path.display());
        return None;
    };
    let vectors: Vec<Value> = serde_json::from_str(&file).unwrap();
    let (mut verified, mut all) = (0, 0);
    for vector in vectors.iter().filter(|vector| vector["scheme"] == scheme) {
        let text = |name: &str| vector[name].as_str().unwrap();
        let headers: Vec<(&str, &str)> = vector["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| (line[0].as_str().unwrap(), line[1].as_str().unwrap()))
            .collect();
        let secret = Secret::weak(text("secret")).unwrap();
        let receiver = Receiver::with_secrets(provider(text("url")), secret.into());
        receiver.clock.set_unix(vector["now"].as_u64().unwrap());
        let request = request(text("url"), &headers, text("body").to_owned());
        let expected = match text("expect") {
            "valid" => "verified",
            "body_hash_mismatch" => "signature_mismatch",
            other => other,
        };
        assert_eq!(verdict(&receiver, request).await, expected, "{}", text("name"));
        verified += usize::from(expected == "verified");
        all += 1;
    }
    Some((verified, all))
}

#[tokio::test]
async fn collected_vectors_of_twilio() {
    if let Some(counted) = collected("twilio", twilio).await {
        assert_eq!(counted, (18, 22));
    }
}

#[tokio::test]
async fn collected_vectors_of_sendgrid() {
    // The collection judges signatures alone: its clock is years ahead of them.
    let decades = Duration::from_secs(20 * 365 * 86_400);
    if let Some(counted) = collected("sendgrid", |_| sendgrid(decades)).await {
        assert_eq!(counted, (1, 5));
    }
}

/// Signs as Twilio does, from the URL and the fields put together.
fn twilio_signature(secret: &str, message: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

const URL: &str = "https://shop.example/hooks/twilio";

#[tokio::test]
async fn the_label_of_the_secret_that_matched() {
    let labels = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&labels);
    let router = EventRouter::new().fallback(move |delivery: Delivery| {
        seen.lock().unwrap().push(delivery.secret_label().unwrap().to_owned());
        async {}
    });
    let secrets = || Secret::new("the new auth token").unwrap();
    let secrets = Secrets::new(secrets())
        .with_secret("previous", Secret::new("the auth token before").unwrap())
        .unwrap();
    let layer = Receiver::with_secrets(twilio(URL), secrets).layer.with_dispatch(router);
    for (secret, body) in [("the auth token before", "A=1"), ("the new auth token", "A=2")] {
        let signature = twilio_signature(secret, &format!("{URL}{}", body.replace('=', "")));
        let headers = [("content-type", FORM), ("x-twilio-signature", &*signature)];
        let response = layer.clone().into_service().oneshot(request(URL, &headers, body)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!(*labels.lock().unwrap(), ["previous", "current"]);
}

#[tokio::test]
async fn fields_in_another_order_are_the_same_event() {
    let receiver = Receiver::with_secrets(twilio(URL), token().into());
    let signature = twilio_signature(documented::TOKEN, &format!("{URL}A1B2 3"));
    let headers = [("content-type", FORM), ("x-twilio-signature", &*signature)];
    for body in ["A=1&B=2+3", "B=2%203&A=1", "%41=1&B=2+3&B=2+3"] {
        let response = receiver.send(request(URL, &headers, body)).await;
        let expected = if body.starts_with("A=1") { Accepted::Handled } else { Accepted::Duplicate };
        assert_eq!(accepted(&response), Some(expected), "{body}");
    }
    assert_eq!(receiver.calls.count(), 1);
}

/// A signature over a URL alone is worth nothing for a body that is not among what was signed.
#[tokio::test]
async fn a_body_that_nothing_signs_is_refused() {
    let digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let receiver = Receiver::with_secrets(twilio(URL), token().into());
    let verdict = async |url: &str, media_type: &str, body: &'static str| {
        let signature = twilio_signature(documented::TOKEN, url);
        verdict(
            &receiver,
            request(url, &[("content-type", media_type), ("x-twilio-signature", &signature)], body),
        )
        .await
    };
    assert_eq!(verdict(URL, "application/json", r#"{"paid":true}"#).await, "signature_mismatch");
    assert_eq!(verdict(URL, "text/plain", "A=1").await, "signature_mismatch");
    assert_eq!(verdict(URL, FORM, "A=1").await, "signature_mismatch");
    assert_eq!(verdict(&format!("{URL}?bodySHA256="), "application/json", "{}").await, "signature_mismatch");
    let twice = format!("{URL}?bodySHA256={digest}&bodySHA256={digest}");
    assert_eq!(verdict(&twice, "application/json", "").await, "signature_mismatch");
    let once = format!("{URL}?bodySHA256={digest}");
    assert_eq!(verdict(&once, "application/json", "{}").await, "signature_mismatch", "of another body");
    // Nothing but an empty body needs no signature of its own.
    assert_eq!(verdict(URL, "application/json", "").await, "verified");
    let url = format!("{URL}?bodySHA256={}", digest.to_uppercase());
    assert_eq!(verdict(&url, "application/json", "").await, "verified");
}

#[tokio::test]
async fn t027_every_header_that_counts_is_there_once() {
    let twice = |mut request: Request<Full<Bytes>>, name: &HeaderName| {
        let value = request.headers()[name].clone();
        request.headers_mut().append(name, value);
        request
    };
    let receiver = Receiver::with_secrets(twilio(documented::URL), token().into());
    let request = || from_twilio(documented::SIGNATURE, documented::BODY);
    for name in [twilio::SIGNATURE.clone(), CONTENT_TYPE] {
        receiver.refuses(twice(request(), &name), RejectionReason::DuplicateHeader).await;
    }
    receiver.handles(request()).await;

    let receiver = Receiver::with_secrets(sendgrid(TOLERANCE), Secret::new(published::KEY).unwrap().into());
    receiver.clock.set_unix(published::SIGNED_AT);
    for name in [&sendgrid::SIGNATURE, &sendgrid::TIMESTAMP] {
        receiver.refuses(twice(as_published(), name), RejectionReason::DuplicateHeader).await;
        let mut without = as_published();
        without.headers_mut().remove(name);
        receiver.refuses(without, RejectionReason::MissingHeader).await;
    }
    receiver.handles(as_published()).await;
}

/// A batch that is signed anew is the same batch.
#[tokio::test]
async fn a_retry_with_a_new_timestamp_is_a_duplicate() {
    let key = SigningKey::from_slice(&[7; 32]).unwrap();
    let public = STANDARD.encode(key.verifying_key().to_public_key_der().unwrap());
    let sign = |seconds: u64| {
        let signature: DerSignature = key.sign(format!("{seconds}[]").as_bytes());
        from_sendgrid(&STANDARD.encode(signature.as_bytes()), &seconds.to_string(), "[]")
    };
    let receiver = Receiver::with_secrets(sendgrid(TOLERANCE), Secret::new(public).unwrap().into());
    receiver.handles(sign(NOW)).await;
    assert_eq!(accepted(&receiver.send(sign(NOW + 60)).await), Some(Accepted::Duplicate));
}

#[test]
fn what_code_knows_is_checked_at_configuration() {
    let none = twilio(URL).verifier(token());
    assert!(none.is_ok());
    let nowhere = Provider::builder("twilio").verify_with(Twilio).build().unwrap();
    assert_eq!(nowhere.verifier(token()).unwrap_err(), ConfigError::NoPublicUrl);

    let provider = sendgrid(TOLERANCE);
    assert!(provider.verifier(Secret::new(published::OTHER_KEY).unwrap()).is_ok());
    for key in ["not base64, by no means", &published::KEY[..40], &STANDARD.encode([4; 91])] {
        let error = provider.verifier(Secret::new(key).unwrap()).unwrap_err();
        let expected = "a P-256 public key, DER in base64";
        assert_eq!(error, ConfigError::UndecodableSecret { label: "current".to_owned(), expected });
    }

    let month = Duration::from_secs(30 * 86_400);
    assert_eq!(sendgrid(month).tolerance(), Some(month));
    assert_eq!(Timing::for_provider(&sendgrid(month)).retention(), 2 * month);
    assert!(!twilio(URL).signs_timestamp());
}

proptest! {
    /// Bytes of any kind, in every place that a stranger can put them: refused, and nothing panics.
    #[test]
    fn t024_hostile_bytes_are_refused(
        signature in proptest::collection::vec(any::<u8>(), 0..200),
        other in proptest::collection::vec(any::<u8>(), 0..60),
        query in "[!-~]{0,80}",
        body in proptest::collection::vec(any::<u8>(), 0..200),
        as_form: bool,
    ) {
        let url = Uri::try_from(format!("/hook?{query}"));
        prop_assume!(url.is_ok());
        let mut request = Request::post(url.unwrap());
        for (name, value) in [
            (twilio::SIGNATURE.clone(), &signature),
            (sendgrid::SIGNATURE.clone(), &signature),
            (sendgrid::TIMESTAMP.clone(), &other),
        ] {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                request = request.header(name, value);
            }
        }
        if as_form {
            request = request.header(CONTENT_TYPE, FORM);
        } else if let Ok(value) = HeaderValue::from_bytes(&other) {
            request = request.header(CONTENT_TYPE, value);
        }
        let request = request.body(body).unwrap();
        let now = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        for verifier in [
            twilio(URL).verifier(token()),
            sendgrid(TOLERANCE).verifier(Secret::new(published::KEY).unwrap()),
        ] {
            let refused = verifier.unwrap().verify_request(&request, now).unwrap_err();
            prop_assert_ne!(refused.reason(), RejectionReason::VerificationPanicked);
        }
    }
}

/// Panics under the secret `panics`, and takes every request under any other.
#[derive(Debug)]
struct Panics;

impl Verify for Panics {
    fn signature_header(&self) -> &HeaderName {
        &twilio::SIGNATURE
    }

    fn verify(&self, request: &Unverified<'_>, secret: &Secret) -> Result<Authentic, RejectionReason> {
        match (secret.expose(), request.header(&twilio::SIGNATURE)?) {
            ("panics", _) => panic!("what a stranger sent is not what was expected"),
            (_, b"malformed") => Err(RejectionReason::MalformedHeader),
            (_, b"no") => Err(RejectionReason::SignatureMismatch),
            _ => Ok(Authentic::new()),
        }
    }
}

fn panics(labels: &[&str]) -> Receiver {
    let envelope = Envelope::identified_by_body().opaque("any");
    let provider = Provider::builder("panics").verify_with(Panics).envelope(envelope).build().unwrap();
    let secrets = labels.iter().map(|text| ((*text).to_owned(), Secret::weak(*text).unwrap()));
    Receiver::with_secrets(provider, Secrets::labelled(secrets).unwrap())
}

/// What panicked may be what a genuine sender sent: it is asked to try again, and is not told that it is nobody.
#[tokio::test]
async fn f27_a_verification_that_panics() {
    let send = |value| request(URL, &[(twilio::SIGNATURE.as_str(), value)], "{}");
    let receiver = panics(&["panics"]);
    let status = StatusCode::SERVICE_UNAVAILABLE;
    for _ in 0..2 {
        let response = receiver.turns_away(send("yes"), status, RejectionReason::VerificationPanicked).await;
        assert!(response.headers().contains_key(RETRY_AFTER));
    }
    assert_eq!(receiver.stats().rejected(RejectionReason::VerificationPanicked), 2);

    // A secret that verifies is enough, wherever it stands; one that does not leaves the question open.
    for labels in [["panics", "another"], ["another", "panics"]] {
        let receiver = panics(&labels);
        receiver.handles(send("yes")).await;
        for value in ["no", "malformed"] {
            receiver.turns_away(send(value), status, RejectionReason::VerificationPanicked).await;
        }
    }
}
