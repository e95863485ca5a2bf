//! How do marks survive a restart without any server? In a file of SQLite, beside what the handlers book.
//!
//!     cargo run --example sqlite
//!     cargo run --features cli -- send http://127.0.0.1:3000/webhooks/caspay --provider caspay --id evt_1
//!
//! Send the event, stop the receiver or kill it, start it again, send the event once more: it is a duplicate, and the
//! payment is booked once. The mark and the booking are one commit.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `SHOP_DB` | the file, which is made where it is missing | `shop.db` in the folder for temporary files |
//! | `CASPAY_WEBHOOK_SECRET` | the signing secret | the public one that `send` uses too |
//! | `ADDR` | address and port to listen on; port 0 takes a free one | `127.0.0.1:3000` |
//!
//! `receiver` shows what a server needs besides: timeouts for slow heads and idle connections.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

#[path = "common/stop.rs"]
mod stop;

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use sqlx::Sqlite;
use sqlx::sqlite::SqlitePoolOptions;
use tower_webhook::caspay::events::PaymentCompleted;
use tower_webhook::dedup::{SqliteStore, StoreError};
use tower_webhook::inbox::Tx;
use tower_webhook::{Delivery, EventRouter, HandlerError, Secret, WebhookLayer, caspay};

use self::stop::stop_signal;

/// What is done through `tx` is committed with the event's mark, or not at all. SQLite has one writer at a time: do
/// nothing here that takes long.
async fn on_paid(
    event: PaymentCompleted,
    delivery: Delivery,
    mut tx: Tx<Sqlite>,
) -> Result<(), HandlerError> {
    let motes = i64::try_from(event.payment.amount).map_err(HandlerError::permanent)?;
    sqlx::query("INSERT INTO payments (id, event, motes) VALUES (?, ?, ?)")
        .bind(event.payment.id)
        .bind(delivery.id())
        .bind(motes)
        .execute(&mut *tx)
        .await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = env::var_os("SHOP_DB").map_or_else(|| env::temp_dir().join("shop.db"), PathBuf::from);
    println!("payments are in {}", path.display());
    let pool = SqlitePoolOptions::new().max_connections(4).connect_with(SqliteStore::options(&path)).await?;
    // Yours is a migration.
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS payments (id TEXT, event TEXT, motes INTEGER)")
        .execute(&pool)
        .await?;
    let store = SqliteStore::new(pool.clone());
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
    let booked: i64 = sqlx::query_scalar("SELECT count(*) FROM payments").fetch_one(&pool).await?;
    println!("stopped, {} handlers before their end; {booked} payments are booked", drained.stopped());
    Ok(())
}

/// Removes marks whose retention is over.
async fn purge(store: SqliteStore) -> Result<(), StoreError> {
    let mut every = tokio::time::interval(Duration::from_secs(300));
    loop {
        every.tick().await;
        if let Err(error) = store.purge().await {
            eprintln!("warning: {error}");
        }
    }
}
