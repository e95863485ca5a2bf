//! What a receiver on loopback and whoever sends to it can agree on without a word.

use super::verifying_secret;
use crate::provider::Provider;
use crate::signature::Secret;

/// The first that is a key of the provider is taken. The digits are a key in every encoding that HMAC keys come in,
/// the base64 is one of 32 bytes.
const PUBLIC: [&str; 2] = [
    "646576656c6f706d656e742d7365637265742d6e6f742d666f722d7573652121",
    "ZGV2ZWxvcG1lbnQtc2VjcmV0LW5vdC1mb3ItdXNlISE=",
];

/// A secret to try a provider with, the same for everybody: **it is public, and protects nothing.** The example
/// `receiver` takes it where none is set, on loopback only, and the program `tower-webhook` signs with it for loopback.
///
/// For Ed25519 it is the seed that signs: see [`verifying_secret`]. `None` where it is no key of the provider, or code
/// verifies.
///
/// ```
/// use tower_webhook::testing::development_secret;
/// use tower_webhook::{caspay, provider::standard_webhooks};
///
/// let secret = development_secret(&standard_webhooks::provider()).unwrap();
/// assert!(standard_webhooks::provider().verifier(secret).is_ok());
/// assert_eq!(development_secret(&caspay::provider()).unwrap().expose(), "caspay-development-secret");
/// ```
#[must_use]
pub fn development_secret(provider: &Provider) -> Option<Secret> {
    use crate::signature::Authenticator;

    if matches!(provider.authenticator(), Authenticator::Code { .. }) {
        return None;
    }
    match provider.name() {
        "caspay" => Secret::new("caspay-development-secret").ok(),
        "casapay" => Secret::new("whsec_casapay-development-secret").ok(),
        _ => {
            // A scheme that signs the URL takes no secret before it knows one, and any will do to look at the secret.
            let provider = provider.clone().with_public_url("http://localhost/").ok()?;
            let is_key = |secret: &Secret| {
                verifying_secret(&provider, secret).is_ok_and(|secret| provider.verifier(secret).is_ok())
            };
            PUBLIC.into_iter().filter_map(|text| Secret::new(text).ok()).find(is_key)
        }
    }
}

/// A type for a sample event, which for CasPay and CasaPay is one that the example `receiver` has a typed handler for.
///
/// ```
/// use tower_webhook::{casapay, testing::sample_type};
///
/// assert_eq!(sample_type(&casapay::provider()), "invoice.paid");
/// ```
#[must_use]
pub fn sample_type(provider: &Provider) -> &'static str {
    match provider.name() {
        "caspay" => "payment.completed",
        "casapay" => "invoice.paid",
        _ => "example",
    }
}

/// A payload for an event type, as JSON: the provider's documented example where there is one, else the least that its
/// documentation lets one expect.
///
/// ```
/// use tower_webhook::testing::{self, SampleEvent, sample_payload};
/// use tower_webhook::caspay::{self, events::PaymentCompleted};
///
/// let payload = sample_payload(&caspay::provider(), "payment.completed");
/// let sample = SampleEvent::new(&caspay::provider(), "evt_1", "payment.completed", &payload)?;
/// let delivery = testing::delivery(&caspay::provider(), sample.body().to_owned())?;
/// assert_eq!(delivery.payload_as::<PaymentCompleted>()?.payment.amount, 100_000_000_000);
/// # Ok::<(), tower_webhook::BoxError>(())
/// ```
#[must_use]
pub fn sample_payload(provider: &Provider, event_type: &str) -> String {
    match (provider.name(), event_type.split('.').next().unwrap_or_default()) {
        ("caspay", "payment") => r#"{"payment":{"id":"pay_123","amount":100000000000,"currency":"CSPR","status":"completed","metadata":{"orderId":"order_456"}}}"#.to_owned(),
        ("casapay", "payment_intent") => r#"{"id":"pi_123","object":"payment_intent","amount":120000,"currency":"eur","status":"succeeded","customer":"cus_123","payment_method":"pm_123"}"#.to_owned(),
        ("casapay", object) => {
            let object = serde_json::Value::from(object);
            format!(r#"{{"id":"obj_123","object":{object},"amount":120000}}"#)
        }
        _ => "{}".to_owned(),
    }
}
