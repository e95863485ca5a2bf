//! What stands in the server after each transition, and how often it was asked.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tower_webhook::RedisStore;
use tower_webhook::dedup::{Claim, ClaimRequest, Completion, DedupStore as _, Lease, StoreError};

use super::{ask, connect, key_of, words};
use crate::servers::{RedisServer, redis_url};
use crate::stores::receiver::{fresh_name, request};

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A scope of its own, and the key of one event in it.
struct Event {
    connection: MultiplexedConnection,
    store: RedisStore<MultiplexedConnection>,
    scope: String,
    key: String,
}

impl Event {
    async fn new() -> Self {
        Self::at(&redis_url()).await
    }

    async fn at(url: &str) -> Self {
        let (connection, scope) = (connect(url).await, fresh_name());
        let key = key_of(&scope, "evt_1");
        Self { store: RedisStore::new(connection.clone()), connection, scope, key }
    }

    fn request(&self) -> ClaimRequest<'_> {
        request(&self.scope, "evt_1")
    }

    async fn acquire(&self) -> Lease {
        acquired(self.store.claim(&self.request()).await)
    }

    async fn value(&self) -> Option<String> {
        ask(&self.connection, &words(&["GET", &self.key])).await
    }

    async fn set(&self, value: &str, milliseconds: &str) {
        let () = ask(&self.connection, &words(&["SET", &self.key, value, "PX", milliseconds])).await;
    }

    /// Milliseconds that are left of the key.
    async fn left(&self) -> i64 {
        ask(&self.connection, &words(&["PTTL", &self.key])).await
    }
}

#[track_caller]
fn acquired(claim: Result<Claim, StoreError>) -> Lease {
    match claim {
        Ok(Claim::Acquired(lease)) => lease,
        other => panic!("expected an acquired claim, found {other:?}"),
    }
}

#[tokio::test]
async fn a_mark_is_its_state_and_its_fence() {
    let event = Event::new().await;
    let lease = event.acquire().await;
    assert_eq!(event.value().await, Some(format!("1{}", lease.fence())));
    assert!((1..=30_000).contains(&event.left().await));
    assert_eq!(event.store.complete(&lease, WEEK).await.unwrap(), Completion::Completed);
    assert_eq!(event.value().await, Some(format!("2{}", lease.fence())));
    assert!((30_001..=604_800_000).contains(&event.left().await));
    event.store.forget(lease.key()).await.unwrap();
    assert_eq!(event.value().await, Some(format!("3{}", lease.fence())));
    assert!((30_001..=60_000).contains(&event.left().await), "a minute");
    let second = event.acquire().await;
    event.store.release(&second).await.unwrap();
    assert_eq!(event.value().await, Some(format!("3{}", second.fence())));
    assert!((30_001..=60_000).contains(&event.left().await), "a minute");
}

/// The fence is the server's time in microseconds, of 16 digits until the year 2286.
#[tokio::test]
async fn a_fence_is_the_servers_time() {
    let event = Event::new().await;
    let before: (u64, u64) = ask(&event.connection, &words(&["TIME"])).await;
    let fence = event.acquire().await.fence();
    let after: (u64, u64) = ask(&event.connection, &words(&["TIME"])).await;
    let micros = |(seconds, micros): (u64, u64)| seconds * 1_000_000 + micros;
    assert!((micros(before)..=micros(after)).contains(&fence), "{before:?} {fence} {after:?}");
}

#[tokio::test]
async fn a_fence_grows_when_the_servers_clock_is_set_back() {
    let event = Event::new().await;
    for state in ["1", "3"] {
        event.set(&format!("{state}8000000000000000"), "60000").await;
        if state == "1" {
            event.store.release(&Lease::new(*event.request().key(), 8_000_000_000_000_000)).await.unwrap();
        }
        assert_eq!(event.acquire().await.fence(), 8_000_000_000_000_001);
        assert_eq!(event.value().await.as_deref(), Some("18000000000000001"));
    }
}

/// Beyond 2^53 Lua could not tell it from the next. No clock gets there before the year 2255.
#[tokio::test]
async fn a_fence_that_cannot_grow_is_corrupt() {
    let event = Event::new().await;
    event.set("39007199254740991", "60000").await;
    assert!(event.store.claim(&event.request()).await.unwrap_err().is_corrupt());
    event.set("39007199254740990", "60000").await;
    assert_eq!(event.acquire().await.fence(), 9_007_199_254_740_991);
}

/// A lease that this store did not give out is not the current one, and its mark is a mark all the same.
#[tokio::test]
async fn a_foreign_lease_completes_as_lost() {
    let event = Event::new().await;
    let lease = event.acquire().await;
    let foreign = Lease::new(*lease.key(), u64::MAX);
    event.store.release(&foreign).await.unwrap();
    assert_eq!(event.value().await, Some(format!("1{}", lease.fence())));
    assert_eq!(event.store.complete(&foreign, WEEK).await.unwrap(), Completion::LeaseLost);
    assert_eq!(event.store.claim(&event.request()).await.unwrap(), Claim::Done);
}

/// Should the clock stand before 2001, a fence has fewer digits, and a mark the same number.
#[tokio::test]
async fn a_small_fence_is_padded() {
    let event = Event::new().await;
    let lease = Lease::new(*event.request().key(), 7);
    event.set("10000000000000007", "60000").await;
    assert_eq!(event.store.complete(&lease, WEEK).await.unwrap(), Completion::Completed);
    assert_eq!(event.value().await.as_deref(), Some("20000000000000007"));
}

#[tokio::test]
async fn a_repeated_completion_keeps_its_lease() {
    let event = Event::new().await;
    let lease = event.acquire().await;
    for _ in 0..2 {
        assert_eq!(event.store.complete(&lease, WEEK).await.unwrap(), Completion::Completed);
    }
}

/// Of two holders the old one has lost its lease and the new one has not, whoever is first.
#[tokio::test]
async fn a_late_completion_leaves_the_fence_of_its_successor() {
    let event = Event::new().await;
    let current = event.acquire().await;
    let old = Lease::new(*current.key(), current.fence() - 1);
    assert_eq!(event.store.complete(&old, WEEK).await.unwrap(), Completion::LeaseLost);
    assert_eq!(event.value().await, Some(format!("2{}", current.fence())));
    assert_eq!(event.store.complete(&current, WEEK).await.unwrap(), Completion::Completed);
}

#[tokio::test]
async fn durations_are_rounded_up_and_bounded() {
    let event = Event::new().await;
    let request =
        ClaimRequest::new(&event.scope, "payment.completed", "evt_1", Duration::from_nanos(29_999_000_001));
    let lease = acquired(event.store.claim(&request).await);
    let Claim::InFlight { retry_after } = event.store.claim(&request).await.unwrap() else { panic!() };
    assert!(!retry_after.is_zero() && retry_after <= Duration::from_secs(30), "{retry_after:?}");
    event.store.complete(&lease, Duration::MAX).await.unwrap();
    assert_eq!(event.store.claim(&request).await.unwrap(), Claim::Done);
    assert!(event.left().await > i64::MAX / 4);
    event.store.complete(&lease, Duration::ZERO).await.unwrap();
    assert!(event.left().await <= 1, "gone, or about to be");
}

#[tokio::test]
async fn a_prefix_begins_the_key_and_separates_stores() {
    let event = Event::new().await;
    event.acquire().await;
    let prefix = format!("{}:", fresh_name());
    let other = RedisStore::new(event.connection.clone()).with_prefix(&prefix).unwrap();
    let lease = acquired(other.claim(&event.request()).await);
    let key = event.key.replacen("webhook:", &prefix, 1);
    let value: Option<String> = ask(&event.connection, &words(&["GET", &key])).await;
    assert_eq!(value, Some(format!("1{}", lease.fence())));
    assert!(other.with_prefix("{tag}").is_err());
}

#[tokio::test]
async fn a_mark_takes_at_most_130_bytes() {
    let event = Event::new().await;
    let lease = event.acquire().await;
    for _ in 0..2 {
        let bytes: u64 = ask(&event.connection, &words(&["MEMORY", "USAGE", &event.key])).await;
        assert!((17..=130).contains(&bytes), "{bytes}");
        let encoding: String = ask(&event.connection, &words(&["OBJECT", "ENCODING", &event.key])).await;
        assert_eq!(encoding, "int");
        event.store.complete(&lease, WEEK).await.unwrap();
    }
}

/// Which commands the server has run since the last call, and how often; those within a script as well.
async fn commands(connection: &MultiplexedConnection) -> Vec<(String, u64)> {
    let report: String = ask(connection, &words(&["INFO", "commandstats"])).await;
    let () = ask(connection, &words(&["CONFIG", "RESETSTAT"])).await;
    let line = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let calls = rest.split_once(',')?.0.parse().unwrap();
        Some((name.to_owned(), calls)).filter(|(name, _)| name != "info" && !name.starts_with("config"))
    };
    let mut commands: Vec<_> = report.lines().filter_map(line).collect();
    commands.sort();
    commands
}

fn counts(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(name, calls)| ((*name).to_owned(), *calls)).collect()
}

#[tokio::test]
async fn claim_and_complete_are_one_round_trip_each() {
    let server = RedisServer::start();
    let event = Event::at(&server.url()).await;
    let other = request(&event.scope, "evt_2");
    let lease = acquired(event.store.claim(&other).await);
    event.store.complete(&lease, WEEK).await.unwrap();
    commands(&event.connection).await;

    let lease = event.acquire().await;
    let claim = [("evalsha", 1), ("set", 1), ("time", 1)];
    assert_eq!(commands(&event.connection).await, counts(&claim));
    event.store.complete(&lease, WEEK).await.unwrap();
    assert_eq!(commands(&event.connection).await, counts(&[("evalsha", 1), ("get", 1), ("set", 1)]));
    event.store.claim(&other).await.unwrap();
    let duplicate = [("evalsha", 1), ("get", 1), ("pttl", 1), ("set", 1), ("time", 1)];
    assert_eq!(commands(&event.connection).await, counts(&duplicate));
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_sent_them_once() {
    let server = RedisServer::start();
    let event = Event::at(&server.url()).await;
    for _ in 0..2 {
        let () = ask(&event.connection, &words(&["SCRIPT", "FLUSH"])).await;
        commands(&event.connection).await;
        let lease = event.acquire().await;
        let whole = |commands: &[(String, u64)]| commands[..2] == counts(&[("eval", 1), ("evalsha", 1)]);
        let first = commands(&event.connection).await;
        assert!(whole(&first), "{first:?}");
        event.store.release(&lease).await.unwrap();
        commands(&event.connection).await;

        let lease = event.acquire().await;
        let then = commands(&event.connection).await;
        assert_eq!(then[..1], counts(&[("evalsha", 1)]), "{then:?}");
        let () = ask(&event.connection, &words(&["SCRIPT", "FLUSH"])).await;
        assert_eq!(event.store.complete(&lease, WEEK).await.unwrap(), Completion::Completed);
        let () = ask(&event.connection, &words(&["SCRIPT", "FLUSH"])).await;
        event.store.forget(lease.key()).await.unwrap();
        assert!(event.value().await.unwrap().starts_with('3'));
    }
}
