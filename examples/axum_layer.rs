//! How do I put existing axum handlers behind the layer?
//!
//!     cargo run --example axum_layer
//!
//! Without a dispatch the layer verifies and deduplicates, and hands the request on as it came. Your handler's own
//! answer is the sender's: a 2xx marks the event done, anything else gives it back for the next attempt.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing::{get, post};
use tower::ServiceExt as _;
use tower_webhook::axum::Verified;
use tower_webhook::casapay::events::PaymentIntentSucceeded;
use tower_webhook::testing::SignedRequest;
use tower_webhook::{Body, Delivery, Secret, WebhookLayer, casapay};

/// What the handlers shared before there was a layer.
#[derive(Clone)]
struct Shop {
    name: &'static str,
}

/// [`Verified`] reads the payload, [`Delivery`] is what surrounds it. axum's own extractors work as before.
async fn typed(
    State(shop): State<Shop>,
    delivery: Delivery,
    Verified(PaymentIntentSucceeded(intent)): Verified<PaymentIntentSucceeded>,
) -> StatusCode {
    println!("{}: {} paid {} {}", shop.name, intent.id, intent.amount, intent.currency);
    assert_eq!(delivery.event_type(), "payment_intent.succeeded");
    StatusCode::NO_CONTENT
}

/// A handler that wants the bytes gets the bytes that were signed.
async fn raw(delivery: Delivery, body: Bytes) -> StatusCode {
    assert_eq!(delivery.body(), &body);
    StatusCode::CREATED
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = Secret::new("whsec_a-secret-for-this-example")?;
    // In your program: Secrets::from_env("CASAPAY_WEBHOOK_SECRET")?
    let webhook = WebhookLayer::new(casapay::provider(), Secret::new("whsec_a-secret-for-this-example")?)?;

    let app = Router::new()
        // On the route, so that nothing else is behind it. Both share one memory of events.
        .route("/webhooks/casapay", post(typed).layer(webhook.clone()))
        .route("/webhooks/raw", post(raw).layer(webhook.clone()))
        .route("/health", get(async || "ok"))
        .with_state(Shop { name: "shop" });

    let body = |id: &str| {
        format!(
            r#"{{"id":"{id}","type":"payment_intent.succeeded","data":{{"object":
            {{"id":"pi_1","object":"payment_intent","amount":120000,"currency":"eur","status":"succeeded"}}}}}}"#
        )
    };
    // What CasaPay would send to `uri`.
    let signed = |uri: &str, body: String| {
        SignedRequest::new(&casapay::provider(), &secret, body).with_uri(uri).build()
    };

    let answer = app.clone().oneshot(signed("/webhooks/casapay", body("evt_1"))).await?;
    assert_eq!(answer.status(), 204, "the handler's own answer");
    let answer = app.clone().oneshot(signed("/webhooks/casapay", body("evt_1"))).await?;
    assert_eq!(answer.status(), 200, "the layer's: the handler is not called again");
    let answer = app.clone().oneshot(signed("/webhooks/raw", body("evt_2"))).await?;
    assert_eq!(answer.status(), 201);

    let mut forged = signed("/webhooks/casapay", body("evt_3"));
    forged.headers_mut().insert("x-casapay-signature", "t=1700000000,v1=00".parse()?);
    assert_eq!(app.clone().oneshot(forged).await?.status(), 401);
    assert_eq!(app.clone().oneshot(Request::get("/health").body(Body::default())?).await?.status(), 200);

    println!("ok");
    Ok(())
}
