//! How do I receive with several instances, and remember what is done across restarts?
//!
//!     redis-server --appendonly yes
//!     export CASPAY_WEBHOOK_SECRET=a-secret-for-this-example
//!     cargo run --example redis
//!     ADDR=127.0.0.1:3001 cargo run --example redis
//!
//! Both instances share the marks in one Redis. Send an event to one of them, then the same to the other, before or
//! after a restart: it is handled once.
//!
//!     cargo run --features cli -- send http://127.0.0.1:3000/webhooks/caspay --provider caspay --id evt_1
//!     cargo run --features cli -- send http://127.0.0.1:3001/webhooks/caspay --provider caspay --id evt_1
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `CASPAY_WEBHOOK_SECRET` | the signing secret | none: it must be set |
//! | `REDIS_URL` | the Redis or Valkey, with its password if it has one | `redis://127.0.0.1/` |
//! | `ADDR` | address and port to listen on; port 0 takes a free one | `127.0.0.1:3000` |
//!
//! Stop Redis, and events are answered 503 without being handled; start it again, and the next attempt is handled.
//! A server that faces the internet needs timeouts too: see `receiver`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

#[path = "common/stop.rs"]
mod stop;

use std::env;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use redis::aio::ConnectionManagerConfig;
use tower_webhook::caspay::events::PaymentCompleted;
use tower_webhook::{Delivery, EventRouter, HandlerError, RedisStore, Secrets, WebhookLayer, caspay};

use self::stop::stop_signal;

/// Less than the two seconds that the layer waits for its store.
const REDIS_ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// How long handlers that outlived their request get to finish after a signal.
const GRACE: Duration = Duration::from_secs(20);

/// Book the payment durably, under the event's id, then return `Ok`: should the process die in between, the event
/// comes again.
async fn on_paid(event: PaymentCompleted, delivery: Delivery) -> Result<(), HandlerError> {
    // The sender's text: `{:?}` keeps control characters out of the terminal.
    println!("handled {:?}: {:?} paid {} motes", delivery.id(), event.payment.id, event.payment.amount);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // What the store's check and the layer have to say at start-up, and a hint with each refusal.
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let address = env::var("ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let url = env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1/".to_owned());
    let secrets = Secrets::from_env("CASPAY_WEBHOOK_SECRET")?;

    // The manager reconnects by itself; one connection serves all requests.
    let config = ConnectionManagerConfig::new().set_response_timeout(Some(REDIS_ANSWERS_WITHIN));
    let redis = redis::Client::open(url)?.get_connection_manager_with_config(config).await?;
    let store = RedisStore::new(redis);
    // Before the layer asks what its store is. Warnings are logged; refuse to start where you would rather.
    let warnings = store.check().await?;
    println!("Redis answers, with {} warnings", warnings.len());

    let webhook = WebhookLayer::new(caspay::provider(), secrets)?
        .with_store(store)
        .with_dispatch(EventRouter::new().on(on_paid));
    let shutdown = webhook.shutdown();
    let app = Router::new()
        .route("/health", get(async || "ok\n"))
        .route_service("/webhooks/caspay", webhook.into_service());

    let stop = stop_signal()?;
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    let drained = shutdown.drain(GRACE).await;
    if !drained.is_complete() {
        eprintln!("{} handlers were stopped; their events will be delivered again", drained.stopped());
    }
    println!("stopped");
    Ok(())
}
