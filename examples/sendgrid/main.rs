//! How do I receive from a provider with an algorithm of its own? Here SendGrid's event webhook, signed with ECDSA.
//!
//!     SENDGRID_PUBLIC_KEY=.. cargo run --example sendgrid
//!
//! `verify.rs` is the scheme, tested with SendGrid's own vectors in `tests/it/verify_trait.rs`. This file is the server.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `SENDGRID_PUBLIC_KEY` | the verification key, as the dashboard shows it | none |
//! | `SENDGRID_PUBLIC_KEY_PREVIOUS` | the one before, while you rotate | none |
//! | `ADDR` | address and port to listen on; port 0 takes a free one | `127.0.0.1:3000` |
//!
//! `receiver` shows what a server needs besides: timeouts for slow heads and idle connections.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

#[path = "../common/stop.rs"]
mod stop;
mod verify;

use std::env;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use serde::Deserialize;
use tower_webhook::{
    ConfigError, Delivery, Envelope, EventRouter, HandlerError, Provider, Retries, Secrets, WebhookLayer,
};

use self::stop::stop_signal;
use self::verify::SendGrid;

const DAY: Duration = Duration::from_secs(86_400);

fn sendgrid() -> Result<Provider, ConfigError> {
    Provider::builder("sendgrid")
        // SendGrid does not say whether each attempt is signed anew: what it may still be retrying is not too old.
        .verify_with(SendGrid::new(DAY + Duration::from_secs(300)))
        // An array of events is one delivery. It is the same one under a new timestamp.
        .envelope(Envelope::identified_by_body().opaque("sendgrid.events"))
        // "All events are retried at increasing intervals for up to 24 hours after the event occurs."
        .retries(Retries::Documented { horizon: DAY, resigned: false })
        .build()
}

/// Of each event what this receiver looks at.
#[derive(Deserialize)]
struct MailEvent {
    event: String,
    sg_event_id: Option<String>,
}

/// One of the events may fail alone, and then all come again: make each effect idempotent by `sg_event_id`.
async fn on_events(delivery: Delivery) -> Result<(), HandlerError> {
    // What is no array of events now will not be one at the next attempt.
    let events: Vec<MailEvent> = serde_json::from_slice(delivery.body()).map_err(HandlerError::permanent)?;
    for MailEvent { event, sg_event_id } in events {
        // They are a sender's text: `{:?}` keeps control characters out of the terminal.
        println!("{event:?} {sg_event_id:?}");
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let webhook = WebhookLayer::new(sendgrid()?, Secrets::from_env("SENDGRID_PUBLIC_KEY")?)?
        .with_dispatch(EventRouter::new().fallback(on_events));
    let shutdown = webhook.shutdown();
    let app = Router::new().route_service("/webhooks/sendgrid", webhook.into_service());

    let stop = stop_signal()?;
    let address = env::var("ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    // Handlers that outlived their request.
    let drained = shutdown.drain(Duration::from_secs(10)).await;
    println!("stopped, {} handlers before their end", drained.stopped());
    Ok(())
}
