//! How do I receive from a provider whose scheme no data can describe? Here Twilio, which signs a URL and form fields.
//!
//!     TWILIO_AUTH_TOKEN=.. PUBLIC_URL=https://shop.example/webhooks/twilio cargo run --example twilio
//!
//! `verify.rs` is the scheme, tested with Twilio's own vectors in `tests/it/verify_trait.rs`. This file is the server.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `TWILIO_AUTH_TOKEN` | the account's auth token | none |
//! | `TWILIO_AUTH_TOKEN_PREVIOUS` | the one before, while you rotate | none |
//! | `PUBLIC_URL` | the URL that Twilio calls, without its query | none |
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
use tower_webhook::{
    ConfigError, Delivery, Envelope, EventRouter, HandlerError, Provider, Secrets, WebhookLayer,
};

use self::stop::stop_signal;
use self::verify::{Twilio, decoded};

fn twilio(public_url: &str) -> Result<Provider, ConfigError> {
    Provider::builder("twilio")
        .verify_with(Twilio)
        // The body is a form, or any JSON: one type, told from others by what was signed. A retry is the same.
        .envelope(Envelope::identified_by_digest().opaque("twilio.request"))
        // "Twilio will wait 15 seconds for your application to respond."
        .answer_deadline(Duration::from_secs(15))
        .build()?
        .with_public_url(public_url)
}

/// Twilio reads an answer's body as instructions (TwiML). This receiver takes status callbacks, which need none; to
/// answer a call or a message, put a handler of axum's own behind the layer, as the example `axum_layer` does.
async fn on_request(delivery: Delivery) -> Result<(), HandlerError> {
    let sid = ["MessageSid", "CallSid"].into_iter().find_map(|name| field(&delivery, name));
    let status = ["MessageStatus", "CallStatus"].into_iter().find_map(|name| field(&delivery, name));
    // They are a sender's text: `{:?}` keeps control characters out of the terminal.
    println!("{sid:?} is {status:?}");
    Ok(())
}

/// The first field of a form by this name.
fn field(delivery: &Delivery, name: &str) -> Option<String> {
    delivery.payload().split('&').filter_map(|pair| pair.split_once('=')).find_map(|(key, value)| {
        (decoded(key.as_bytes())? == name).then(|| decoded(value.as_bytes())).flatten()
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let public_url =
        env::var("PUBLIC_URL").map_err(|_| "PUBLIC_URL is not set: which URL does Twilio call?")?;
    let webhook = WebhookLayer::new(twilio(&public_url)?, Secrets::from_env("TWILIO_AUTH_TOKEN")?)?
        .with_dispatch(EventRouter::new().fallback(on_request));
    let shutdown = webhook.shutdown();
    let app = Router::new().route_service("/webhooks/twilio", webhook.into_service());

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
