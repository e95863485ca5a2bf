//! `RedisStore` on real servers.

mod check;
mod cluster;
mod faults;
mod hostile;
mod marks;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue};
use tower_webhook::RedisStore;

use super::suite;
use crate::servers::redis_url;
use crate::stores::receiver::{fresh_name, request};

/// Longer than a busy machine needs for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn connect(url: &str) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let client = Client::open(url).unwrap();
    client.get_multiplexed_async_connection_with_config(&config).await.unwrap()
}

/// A connection that finds its server again.
async fn manage(url: &str) -> ConnectionManager {
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(PATIENCE))
        .set_max_delay(Duration::from_millis(100));
    Client::open(url).unwrap().get_connection_manager_with_config(config).await.unwrap()
}

pub(super) async fn ask<T: FromRedisValue>(connection: &MultiplexedConnection, command: &Cmd) -> T {
    command.query_async(&mut connection.clone()).await.unwrap()
}

/// A command from its words.
fn words(words: &[&str]) -> Cmd {
    let mut command = Cmd::new();
    command.arg(words);
    command
}

/// The key of an event, as the documentation says that it is.
fn key_of(scope: &str, id: &str) -> String {
    format!("webhook:{{{}}}", URL_SAFE_NO_PAD.encode(request(scope, id).key().as_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_multiplexed_connection_conforms() {
    suite(RedisStore::new(connect(&redis_url()).await)).run_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_manager_conforms() {
    suite(RedisStore::new(manage(&redis_url()).await).with_prefix(&fresh_name()).unwrap())
        .run_all()
        .await
        .unwrap();
}
