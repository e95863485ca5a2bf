//! How do I change the signing secret without losing a delivery?
//!
//!     cargo run --example rotate_secret
//!
//! 1. Deploy with the new secret beside the old one. [`Secrets::from_env`] does it where `.._PREVIOUS` is set too.
//! 2. Switch at the provider.
//! 3. When the old secret's label has been quiet for longer than the provider retries, take it out.
//!
//! Without a deploy, `Verifier::replace_secrets` does the same while the process runs: see `docs::secrets`.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tower::ServiceExt as _;
use tower_webhook::{Delivery, EventRouter, Secret, Secrets, State, WebhookLayer, casapay, testing};

const OLD: &str = "whsec_the-old-secret-of-this-example";
const NEW: &str = "whsec_the-new-secret-of-this-example";

/// How often each secret was seen. It is in the crate's log as well, as field `secret` of a delivery's span.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<String, u32>>>);

async fn on_any(delivery: Delivery, State(seen): State<Seen>) {
    let label = delivery.secret_label().unwrap_or("none").to_owned();
    println!("{} was signed with the secret `{label}`", delivery.id());
    *seen.0.lock().unwrap_or_else(PoisonError::into_inner).entry(label).or_default() += 1;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seen = Seen::default();
    let receiver = |secrets: Secrets| {
        let events = EventRouter::new().fallback(on_any).with_state(seen.clone());
        Ok::<_, tower_webhook::ConfigError>(
            WebhookLayer::new(casapay::provider(), secrets)?.with_dispatch(events).into_service(),
        )
    };
    let sign = |secret: &str, id: &str| {
        let body = format!(r#"{{"id":"{id}","type":"invoice.paid","data":{{"object":{{"id":"in_1"}}}}}}"#);
        Ok::<_, tower_webhook::ConfigError>(testing::sign(&casapay::provider(), &Secret::new(secret)?, body))
    };

    // During the rotation both secrets verify.
    let both = Secrets::new(Secret::new(NEW)?).with_secret("previous", Secret::new(OLD)?)?;
    let service = receiver(both)?;
    assert_eq!(service.clone().oneshot(sign(OLD, "evt_1")?).await?.status(), 200);
    assert_eq!(service.clone().oneshot(sign(NEW, "evt_2")?).await?.status(), 200);
    // An event is the same event under either: its redelivery is a duplicate, and `on_any` is not called.
    assert_eq!(service.clone().oneshot(sign(NEW, "evt_1")?).await?.status(), 200);

    let counted = seen.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(counted, BTreeMap::from([("current".to_owned(), 1), ("previous".to_owned(), 1)]));

    // Afterwards the old one is worth nothing.
    let service = receiver(Secret::new(NEW)?.into())?;
    assert_eq!(service.clone().oneshot(sign(OLD, "evt_3")?).await?.status(), 401);
    assert_eq!(service.oneshot(sign(NEW, "evt_3")?).await?.status(), 200);

    println!("ok");
    Ok(())
}
