//! How do I receive from a provider that has no preset?
//!
//!     cargo run --example own_provider
//!
//! A provider is data: write down what its documentation says. Here "Acme Parcels", whose documentation says:
//!
//! > Each request carries `Acme-Signature: at=<Unix seconds>,sig=<base64>`, the HMAC-SHA256 of `<seconds>:<body>`.
//! > Answer within 10 seconds. We retry for three days and sign every attempt anew.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde::Deserialize;
use tower::ServiceExt as _;
use tower_webhook::testing::{ManualClock, SignedRequest};
use tower_webhook::{
    ConfigError, Encoding, Envelope, Event, EventRouter, Part, Provider, Retries, Secret, SignatureScheme,
    WebhookLayer,
};

const DAY: Duration = Duration::from_secs(86_400);

fn acme_parcels() -> Result<Provider, ConfigError> {
    Provider::builder("acme-parcels")
        .signature(
            SignatureScheme::hmac_sha256("acme-signature")
                .with_pairs("at", "sig")
                .with_signed([Part::Timestamp, Part::literal(":"), Part::Body])
                .with_encoding(Encoding::Base64)
                .with_tolerance(Duration::from_secs(120)),
        )
        // JSON pointers into the body. The id must come from what is signed: that is why it is not a header.
        .envelope(
            Envelope::json("/meta/event_id")
                .with_event_type("/meta/kind")
                .with_created("/meta/at")
                .with_payload("/parcel"),
        )
        .answer_deadline(Duration::from_secs(10))
        .retries(Retries::Documented { horizon: 3 * DAY, resigned: true })
        // A handler for a type that is not listed is warned about at start-up: a misspelling is never called.
        .event_types(["parcel.shipped", "parcel.delivered"])
        .build()
}

#[derive(Deserialize)]
struct Delivered {
    number: String,
}

impl Event for Delivered {
    const TYPE: &'static str = "parcel.delivered";
}

async fn on_delivered(parcel: Delivered) {
    println!("parcel {} has arrived", parcel.number);
}

/// A request of which the right signature is known, from the provider's documentation or from another tool:
///
/// ```sh
/// printf %s '1700000000:<the body>' | openssl dgst -sha256 -hmac 'a-secret-for-this-example' -binary | base64
/// ```
const BODY: &str =
    r#"{"meta":{"event_id":"e-1","kind":"parcel.delivered","at":1700000000},"parcel":{"number":"P7"}}"#;
const SIGNED_AT: u64 = 1_700_000_000;
const SIGNATURE: &str = "jIkspt7akED5fA0rfYrMWCFdRI+p1v72Jy1lDVAGk2c=";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = Secret::new("a-secret-for-this-example")?;
    let acme = acme_parcels()?;

    // First of all: does the description sign as the provider does?
    let ours = SignedRequest::new(&acme, &secret, BODY).at_unix(SIGNED_AT).signature();
    assert_eq!(ours, format!("at={SIGNED_AT},sig={SIGNATURE}"));

    // The known request is old, and so is the clock that judges it.
    let clock = ManualClock::at_unix(SIGNED_AT);
    let webhook = WebhookLayer::new(acme, secret)?
        .with_clock(clock.clone())
        .with_dispatch(EventRouter::new().on(on_delivered));
    // The preset's facts became settings: an answer before the deadline, marks that outlive the retries.
    assert_eq!(webhook.timing().respond_by(), Duration::from_secs(8));
    assert!(webhook.timing().retention() >= 4 * DAY);

    let service = webhook.into_service();
    let known =
        || {
            Request::post("/")
                .header("acme-signature", format!("at={SIGNED_AT},sig={SIGNATURE}"))
                .body(Full::<Bytes>::from(BODY))
        };
    assert_eq!(service.clone().oneshot(known()?).await?.status(), 200);
    clock.set_unix(SIGNED_AT + 121);
    assert_eq!(service.oneshot(known()?).await?.status(), 401, "outside of the tolerance");

    println!("ok");
    Ok(())
}
