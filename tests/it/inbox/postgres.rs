//! The inbox in PostgreSQL.

mod cut_off;
#[path = "handlers.rs"]
mod handlers;
#[path = "outcomes.rs"]
mod outcomes;
#[path = "pools.rs"]
mod pools;
#[path = "records.rs"]
mod records;
#[path = "settings.rs"]
mod settings;
#[path = "shop.rs"]
pub(crate) mod shop;
mod spoilt;
mod waiting;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgPool};

use crate::servers::postgres_database;

pub(crate) type Db = sqlx::Postgres;
pub(crate) type OtherDb = sqlx::Sqlite;
pub(crate) type Store = tower_webhook::dedup::PostgresStore;

/// Where a database is.
pub(crate) type Home = String;

pub(crate) async fn fresh() -> Home {
    postgres_database().await
}

pub(crate) async fn connect(url: &Home, connections: u32) -> PgPool {
    let options: PgConnectOptions = url.parse().unwrap();
    let options = options.disable_statement_logging();
    PgPoolOptions::new().max_connections(connections).connect_with(options).await.unwrap()
}
