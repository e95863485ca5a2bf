//! How do I receive for many merchants, each with a secret of their own?
//!
//!     cargo run --example tenants
//!
//! Each merchant has an account at CasPay and registers a URL of its own there: `/webhooks/caspay/{merchant}`. The
//! platform keeps their secrets in a table, and the layer asks the table for whomever a request says it is.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::http::StatusCode;
use tower::ServiceExt as _;
use tower_webhook::testing::SignedRequest;
use tower_webhook::{
    BoxError, ConfigError, Delivery, EventRouter, Secret, SecretSource, Secrets, TenantKey, Tenants,
    WebhookLayer, caspay,
};

/// What a database would keep: for each merchant the secrets that are accepted, the newest first.
#[derive(Default)]
struct Table(Mutex<HashMap<String, Vec<String>>>);

impl Table {
    fn rows(&self) -> MutexGuard<'_, HashMap<String, Vec<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, merchant: &str, secrets: &[&str]) {
        let secrets = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        self.rows().insert(merchant.to_owned(), secrets);
    }
}

impl SecretSource for Table {
    /// `None` for a merchant that does not exist. An outage of the database would be an `Err`: the sender is then told
    /// to come back, instead of being turned away.
    async fn secrets(&self, merchant: &str) -> Result<Option<Secrets>, BoxError> {
        let Some(texts) = self.rows().get(merchant).cloned() else { return Ok(None) };
        let labels = ["current", "previous"];
        let secrets =
            labels.into_iter().zip(texts).map(|(label, text)| Ok((label.to_owned(), Secret::new(text)?)));
        let secrets = secrets.collect::<Result<Vec<_>, ConfigError>>()?;
        Ok(Some(Secrets::labelled(secrets)?))
    }
}

async fn on_any(delivery: Delivery) {
    let (merchant, label) = (delivery.tenant().unwrap_or("nobody"), delivery.secret_label().unwrap_or("no"));
    println!("{merchant}: {} by the {label} secret", delivery.id());
}

const ACME: &str = "the-secret-of-acme-2025";
const ACME_NEXT: &str = "the-secret-of-acme-2026";
const ZORG: &str = "the-secret-of-zorg-2025";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let table = Arc::new(Table::default());
    table.set("acme", &[ACME]);
    table.set("zorg", &[ZORG]);

    let tenants = Tenants::new(TenantKey::path_after("/webhooks/caspay/")?, Arc::clone(&table));
    let webhook = WebhookLayer::for_tenants(caspay::provider(), tenants)?
        .with_dispatch(EventRouter::new().fallback(on_any));
    let cache = webhook.tenants().ok_or("the layer has tenants")?;
    let stats = webhook.stats();
    let app: Router = Router::new().route_service("/webhooks/caspay/{merchant}", webhook.into_service());

    // What CasPay would send for a merchant.
    let send = async |merchant: &str, secret: &str, id: &str| {
        let body = format!(r#"{{"id":"{id}","type":"payment.completed","data":{{}}}}"#);
        let (provider, secret) = (caspay::provider(), Secret::new(secret)?);
        let request = SignedRequest::new(&provider, &secret, body);
        let request = request.with_uri(format!("/webhooks/caspay/{merchant}")).build();
        let status = app.clone().oneshot(request).await?.status();
        println!("{status} for {id} of {merchant}");
        Ok::<StatusCode, Box<dyn std::error::Error>>(status)
    };

    // Ids are the provider's: two merchants may have the same, and each is handled.
    assert_eq!(send("acme", ACME, "evt_1").await?, 200);
    assert_eq!(send("zorg", ZORG, "evt_1").await?, 200);
    // Nobody speaks for another, and who does not exist is told the same.
    assert_eq!(send("zorg", ACME, "evt_2").await?, 401);
    assert_eq!(send("nobody", ACME, "evt_2").await?, 401);

    // A merchant changes its secret. First the platform accepts both, and says so to the layer, which would notice
    // after five minutes by itself.
    table.set("acme", &[ACME_NEXT, ACME]);
    cache.refresh("acme");
    assert_eq!(send("acme", ACME, "evt_3").await?, 200);
    assert_eq!(send("acme", ACME_NEXT, "evt_4").await?, 200);
    // Then, when the old one has been quiet, only the new one. `forget` drops the keys at hand whatever the table's
    // state is: for a secret that has leaked, this is the one to call.
    table.set("acme", &[ACME_NEXT]);
    cache.forget("acme");
    assert_eq!(send("acme", ACME, "evt_5").await?, 401);
    assert_eq!(send("acme", ACME_NEXT, "evt_5").await?, 200);

    // Five look-ups: acme and its two changes, zorg, and nobody. All else was at hand.
    assert_eq!(stats.secret_lookups(), 5);
    println!("ok");
    Ok(())
}
