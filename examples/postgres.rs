//! How do I book a payment exactly once? Here in PostgreSQL: the event's mark and the booking are one commit.
//!
//!     DATABASE_URL=postgres://localhost/shop cargo run --example postgres
//!     cargo run --features cli -- send http://127.0.0.1:3000/webhooks/caspay --provider caspay --count 100 --duplicate
//!     psql postgres://localhost/shop -c 'TABLE accounts' -c 'TABLE tower_webhook_events'
//!
//! It makes its tables where they are missing. Start it twice with two values of `ADDR`, kill it with SIGKILL while
//! events come in, send them again: the account holds each payment once.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `DATABASE_URL` | where PostgreSQL is | none |
//! | `CASPAY_WEBHOOK_SECRET` | the signing secret | the public one that `send` uses too |
//! | `ADDR` | address and port to listen on; port 0 takes a free one | `127.0.0.1:3000` |
//!
//! `receiver` shows what a server needs besides: timeouts for slow heads and idle connections.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

#[path = "common/stop.rs"]
mod stop;

use std::env;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use sqlx::Postgres;
use sqlx::postgres::PgPoolOptions;
use tower_webhook::caspay::events::PaymentCompleted;
use tower_webhook::dedup::{PostgresStore, StoreError};
use tower_webhook::inbox::Tx;
use tower_webhook::{EventRouter, HandlerError, Secret, WebhookLayer, caspay};

use self::stop::stop_signal;

/// What is done through `tx` is committed with the event's mark, or not at all.
async fn on_paid(event: PaymentCompleted, mut tx: Tx<Postgres>) -> Result<(), HandlerError> {
    let motes = i64::try_from(event.payment.amount).map_err(HandlerError::permanent)?;
    sqlx::query(
        "INSERT INTO accounts (currency, motes, payments) VALUES ($1, $2, 1) ON CONFLICT (currency) \
         DO UPDATE SET motes = accounts.motes + excluded.motes, payments = accounts.payments + 1",
    )
    .bind(event.payment.currency)
    .bind(motes)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set: where is PostgreSQL?")?;
    let pool = PgPoolOptions::new().max_connections(20).connect(&url).await?;
    // Yours is a migration.
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS accounts (currency text PRIMARY KEY, motes bigint NOT NULL, \
         payments bigint NOT NULL)",
    )
    .execute(&pool)
    .await?;
    let store = PostgresStore::new(pool.clone());
    store.migrate().await?;
    for warning in store.check().await? {
        eprintln!("warning: {warning}");
    }

    let secret = env::var("CASPAY_WEBHOOK_SECRET").unwrap_or_else(|_| "caspay-development-secret".to_owned());
    let webhook = WebhookLayer::new(caspay::provider(), Secret::new(secret)?)?
        .with_dispatch(EventRouter::new().on(on_paid).layer(store.inbox()?));
    let shutdown = webhook.shutdown();
    let app = Router::new().route_service("/webhooks/caspay", webhook.into_service());
    tokio::spawn(purge(store));

    let stop = stop_signal()?;
    let address = env::var("ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    // Handlers that outlived their request.
    let drained = shutdown.drain(Duration::from_secs(10)).await;
    let booked: Option<i64> =
        sqlx::query_scalar("SELECT sum(payments)::bigint FROM accounts").fetch_one(&pool).await?;
    let booked = booked.unwrap_or_default();
    println!("stopped, {} handlers before their end; {booked} payments are booked", drained.stopped());
    Ok(())
}

/// Removes marks whose retention is over. Every instance may do it.
async fn purge(store: PostgresStore) -> Result<(), StoreError> {
    let mut every = tokio::time::interval(Duration::from_secs(300));
    loop {
        every.tick().await;
        if let Err(error) = store.purge().await {
            eprintln!("warning: {error}");
        }
    }
}
