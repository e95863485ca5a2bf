//! Real servers on free loopback ports, with their data in a temporary directory. They end with the process that
//! started them, however that ends.
#![allow(dead_code, reason = "not every test needs all that can be done to a server")]

mod postgres;
mod redis;
mod supervised;

use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) use postgres::PostgresServer;
pub(crate) use redis::RedisServer;

/// How long a server may take until it answers: longer than a busy machine needs for a recovery.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A Redis that all tests share which do not break it: the user's own, where `TOWER_WEBHOOK_TEST_REDIS_URL` names
/// one.
pub(crate) fn redis_url() -> String {
    static SERVER: OnceLock<RedisServer> = OnceLock::new();
    match std::env::var("TOWER_WEBHOOK_TEST_REDIS_URL") {
        Ok(url) => url,
        Err(_) => SERVER.get_or_init(RedisServer::start).url(),
    }
}

/// A fresh database of a PostgreSQL that all tests share which do not break it: the user's own, where
/// `TOWER_WEBHOOK_TEST_POSTGRES_URL` names one.
pub(crate) async fn postgres_database() -> String {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    match std::env::var("TOWER_WEBHOOK_TEST_POSTGRES_URL") {
        Ok(url) => postgres::create_database(&url).await,
        // Never killed, so that nothing hangs on what is on its disk.
        Err(_) => SERVER.get_or_init(|| PostgresServer::start_with(&["-c", "fsync=off"])).database().await,
    }
}

/// A port that is free now, and that nobody else in this process is given: its owner binds it only later. It is below
/// those that a system hands out by itself, so that no client's end of a connection takes it while a server restarts.
pub(crate) fn free_port() -> u16 {
    static NEXT: OnceLock<AtomicU64> = OnceLock::new();
    let next = NEXT.get_or_init(|| AtomicU64::new(random() % 12_000));
    for _ in 0..1_000 {
        let port = 20_000 + u16::try_from(next.fetch_add(1, Ordering::Relaxed) % 12_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port from 20000 to 31999 is free");
}

/// Another number with every call and in every process.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// Asks until the server is ready; `None` where it says that it cannot start.
fn wait_until_ready(server: &supervised::Supervised, ready: impl Fn() -> bool) -> Option<()> {
    let deadline = Instant::now() + READY_WITHIN;
    while !ready() {
        let log = server.log();
        if log.contains("Address already in use") {
            return None;
        }
        assert!(Instant::now() < deadline, "the server does not answer:\n{log}");
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(())
}
