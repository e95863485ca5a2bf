//! Verification beside other crates that verify webhooks, each its own scheme over the same body in the same run:
//!
//!     cd benches/peers && cargo run --release
//!
//! The baseline of each table is the raw HMAC-SHA256 of the same bytes, its keyed state cloned. Every subject reads the
//! clock where the scheme signs a timestamp (ours always: its call is given the time), and is seen to accept what was
//! signed and to refuse a body with one bit flipped before it is measured. What is compared is the call that a user
//! makes for each request, with all that can be done once done before:
//!
//! - `async-stripe-webhook` verifies and parses in one call. The body here is no event, so that it fails in the first
//!   byte of its parser, after the signature and the timestamp: that is what counts as accepted.
//! - `octoevents` reads the header and verifies in two calls; both are measured.
//! - `standardwebhooks` stands for `svix` as well, whose verification is the same code but for the headers' names;
//!   `svix` 2.9 does not compile without its client for TLS, which is too much to build for that.
//! - `webhook-verify` takes the secret as text with each call and has no verifier to prepare.
//!
//! This is a crate of its own, outside of the main build, so that its dependencies slow down nothing there. Times
//! depend on the machine; compare ratios within a table.

#[path = "../../common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Subject, measure, print};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;
use tower_webhook::{
    ConfigError, Encoding, KeyEncoding, Pairs, Part, Provider, Secret, SignatureScheme, Verifier,
};

const ROUNDS: usize = 41;
const KEY: &[u8] = b"a-signing-secret-for-benchmarks";

fn mac(message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).expect("a key of any length");
    mac.update(message);
    mac
}

fn tag(message: &[u8]) -> Vec<u8> {
    mac(message).finalize().into_bytes().to_vec()
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::try_from(*value).expect("visible characters"))
    };
    lines.iter().map(line).collect()
}

/// One implementation: whether it accepts a body.
type Accepts<'a> = Box<dyn Fn(&[u8]) -> bool + 'a>;

/// One scheme and one body, as a table.
fn table(title: &str, body: &[u8], signed: &[u8], peers: Vec<(&str, Accepts<'_>)>) {
    let mut flipped = body.to_vec();
    flipped[body.len() / 2] ^= 1;
    let key = Hmac::<Sha256>::new_from_slice(KEY).expect("a key of any length");
    let passes = (4 << 20) / (body.len() + 2_048) + 1;
    let raw = move |()| {
        let mut mac = key.clone();
        mac.update(black_box(signed));
        black_box(mac.finalize().into_bytes());
    };
    let mut subjects =
        vec![Subject::new("raw HMAC-SHA256, keyed state cloned", None, move || vec![(); passes], raw)];
    for (name, accepts) in peers {
        assert!(accepts(body), "{name} refuses what was signed");
        assert!(!accepts(&flipped), "{name} accepts another body");
        let run = move |()| assert!(accepts(black_box(body)));
        subjects.push(Subject::new(name, None, move || vec![(); passes], run));
    }
    print(title, &measure(ROUNDS, subjects));
}

fn ours(scheme: SignatureScheme, secret: &str) -> Result<Verifier, ConfigError> {
    Provider::builder("peer").signature(scheme).build()?.verifier(Secret::new(secret)?)
}

fn verifies<'a>(verifier: &'a Verifier, headers: &'a HeaderMap) -> Accepts<'a> {
    Box::new(move |body| verifier.verify(black_box(headers), body, SystemTime::now()).is_ok())
}

fn webhook_verify<'a>(
    provider: webhook_verify::Provider,
    headers: &'a HeaderMap,
    secret: &str,
) -> Accepts<'a> {
    let secret = webhook_verify::Secret::new(secret);
    Box::new(move |body| {
        webhook_verify::verify(provider.clone(), black_box(headers), body, &secret, Default::default())
            .is_ok()
    })
}

/// `t=<seconds>,v1=<hex>` over `<seconds>.<body>`.
fn stripe(size: &str, body: &[u8], now: &str) -> Result<(), Box<dyn std::error::Error>> {
    let signed = [now.as_bytes(), b".", body].concat();
    let value = format!("t={now},v1={}", const_hex::encode(tag(&signed)));
    let headers = headers(&[("stripe-signature", &value)]);
    let secret = std::str::from_utf8(KEY)?;
    let verifier = ours(SignatureScheme::hmac_sha256("stripe-signature").with_pairs("t", "v1"), secret)?;
    let async_stripe = |body: &[u8]| {
        use stripe_webhook::{Webhook, WebhookError};
        let Ok(text) = std::str::from_utf8(body) else { return false };
        let header = headers["stripe-signature"].to_str().unwrap_or_default();
        matches!(Webhook::construct_event(text, header, secret), Err(WebhookError::BadParse(_)))
    };
    let peers: Vec<(&str, Accepts<'_>)> = vec![
        ("tower-webhook", verifies(&verifier, &headers)),
        ("webhook-verify", webhook_verify(webhook_verify::Provider::Stripe, &headers, secret)),
        ("async-stripe-webhook", Box::new(async_stripe)),
    ];
    table(&format!("Stripe, {size}"), body, &signed, peers);
    Ok(())
}

/// `sha256=<hex>` over the body.
fn github(size: &str, body: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    let headers = headers(&[("x-hub-signature-256", &format!("sha256={}", const_hex::encode(tag(body))))]);
    let secret = std::str::from_utf8(KEY)?;
    let scheme = SignatureScheme::hmac_sha256("x-hub-signature-256").with_prefix("sha256=");
    let verifier = ours(scheme, secret)?;
    let octoevents = octoevents::Verifier::new(octoevents::WebhookSecret::new(KEY));
    let octoevents = |body: &[u8]| {
        let signature = octoevents::Signature::try_from(&headers["x-hub-signature-256"]);
        signature.is_ok_and(|signature| octoevents.verify(&signature, body).is_ok())
    };
    let peers: Vec<(&str, Accepts<'_>)> = vec![
        ("tower-webhook", verifies(&verifier, &headers)),
        ("webhook-verify", webhook_verify(webhook_verify::Provider::GitHub, &headers, secret)),
        ("octoevents", Box::new(octoevents)),
    ];
    table(&format!("GitHub, {size}"), body, body, peers);
    Ok(())
}

/// `v1,<base64>` over `<id>.<seconds>.<body>`, under a key in base64.
fn standard_webhooks(size: &str, body: &[u8], now: &str) -> Result<(), Box<dyn std::error::Error>> {
    let id = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W";
    let signed = [id.as_bytes(), b".", now.as_bytes(), b".", body].concat();
    let value = format!("v1,{}", STANDARD.encode(tag(&signed)));
    let lines = [("webhook-id", id), ("webhook-timestamp", now), ("webhook-signature", &value)];
    let (headers, secret) = (headers(&lines), format!("whsec_{}", STANDARD.encode(KEY)));
    let scheme = SignatureScheme::hmac_sha256(["svix-signature", "webhook-signature"])
        .with_grammar(Pairs::versions("v1"))
        .with_encoding(Encoding::Base64)
        .with_key_encoding(KeyEncoding::Base64)
        .with_key_prefix("whsec_")
        .with_timestamp_header(["svix-timestamp", "webhook-timestamp"])
        .with_signed([
            Part::header(["svix-id", "webhook-id"]),
            Part::literal("."),
            Part::Timestamp,
            Part::literal("."),
            Part::Body,
        ]);
    let verifier = ours(scheme, &secret)?;
    let standard = standardwebhooks::Webhook::new(&secret)?;
    let peers: Vec<(&str, Accepts<'_>)> = vec![
        ("tower-webhook", verifies(&verifier, &headers)),
        ("webhook-verify", webhook_verify(webhook_verify::Provider::StandardWebhooks, &headers, &secret)),
        ("standardwebhooks", Box::new(|body| standard.verify(body, &headers).is_ok())),
    ];
    table(&format!("Standard Webhooks, {size}"), body, &signed, peers);
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (size, name) in [(256, "256 B"), (1 << 10, "1 KiB"), (16 << 10, "16 KiB"), (64 << 10, "64 KiB")] {
        let body = vec![b'x'; size];
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().to_string();
        stripe(name, &body, &now)?;
        github(name, &body)?;
        standard_webhooks(name, &body, &now)?;
    }
    Ok(())
}
