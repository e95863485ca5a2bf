//! What a server is asked at start-up, and what becomes of those that should have been heeded.

use tower_webhook::RedisStore;
use tower_webhook::dedup::{DedupStore as _, StoreInfo, StoreWarning};

use super::{ask, connect, words};
use crate::servers::RedisServer;
use crate::stage::{DUPLICATE, HANDLED};
use crate::stores::receiver::{FAILED, Receiver, UNAVAILABLE, request};

/// Fills a server with other people's data until it takes no more; `None` where it never says so.
async fn fill(connection: &redis::aio::MultiplexedConnection, keys: usize) -> Option<String> {
    let value = "x".repeat(1_000);
    for n in 0..keys {
        let filled =
            words(&["SET", &format!("filler:{n}"), &value]).query_async(&mut connection.clone()).await;
        if let Err(error) = filled.map(|(): ()| ()) {
            return error.code().map(ToOwned::to_owned);
        }
    }
    None
}

fn limited(policy: &str) -> RedisServer {
    RedisServer::start_with(&["--maxmemory", "3mb", "--maxmemory-policy", policy])
}

#[tokio::test]
async fn a_careful_server_is_durable_and_silent() {
    let server = RedisServer::start();
    let store = RedisStore::new(connect(&server.url()).await);
    let clone = store.clone();
    assert_eq!(clone.info(), StoreInfo::new(false, true), "nobody has asked");
    assert_eq!(store.check().await.unwrap(), []);
    assert_eq!(clone.info(), StoreInfo::new(true, true));
}

#[tokio::test]
async fn f13_a_server_in_memory_is_warned_about() {
    let server = RedisServer::start_with(&["--appendonly", "no"]);
    let store = RedisStore::new(connect(&server.url()).await);
    assert_eq!(store.check().await.unwrap(), [StoreWarning::NotPersistent]);
    assert!(!store.info().durable());
}

#[tokio::test]
async fn t099_every_evicting_policy_is_warned_about() {
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let server = limited(policy);
        let store = RedisStore::new(connect(&server.url()).await);
        assert_eq!(store.check().await.unwrap(), [StoreWarning::Evicts { policy: policy.to_owned() }]);
        assert!(!store.info().durable());
    }
}

/// Why: the mark goes, and its event runs again.
#[tokio::test]
async fn t099_an_evicting_server_doubles() {
    let server = limited("allkeys-lru");
    let connection = connect(&server.url()).await;
    let receiver = Receiver::new(RedisStore::new(connection.clone()));
    assert_eq!(receiver.handle("evt_1").await, HANDLED);
    assert_eq!(fill(&connection, 10_000).await, None);
    assert_eq!(receiver.handle("evt_1").await, HANDLED);
}

/// A full server takes no new event; whatever it has taken before is finished, recorded and recognised.
#[tokio::test]
async fn t099_a_full_server_refuses_and_doubles_nothing() {
    let server = limited("noeviction");
    let connection = connect(&server.url()).await;
    let receiver = Receiver::new(RedisStore::new(connection.clone()));
    assert_eq!(receiver.handle("evt_done").await, HANDLED);
    let (answer, run) = receiver.begin("evt_running").await;
    let (failing, fail) = receiver.begin("evt_failing").await;
    assert_eq!(fill(&connection, 10_000).await.as_deref(), Some("OOM"));
    // Full for good: what its buffers give back would be room for a mark.
    let () = ask(&connection, &words(&["CONFIG", "SET", "maxmemory", "2mb"])).await;

    assert_eq!(receiver.deliver("evt_new").await, UNAVAILABLE);
    assert_eq!(receiver.deliver("evt_done").await, DUPLICATE);
    run.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED);
    assert_eq!(receiver.deliver("evt_running").await, DUPLICATE);
    assert_eq!(receiver.stats().completions_retried(), 0);
    fail.fail(tower_webhook::HandlerError::retry("no"));
    assert_eq!(failing.await.unwrap(), FAILED);
    assert_eq!(receiver.deliver("evt_failing").await, UNAVAILABLE, "given back, but not to be claimed now");
    assert_eq!(receiver.runs.starts.count(), 3);

    let warnings = RedisStore::new(connection.clone()).check().await.unwrap();
    assert!(
        matches!(warnings[..], [StoreWarning::NearlyFull { used, limit: 2_097_152 }] if used > 2_097_152)
    );
    let () = ask(&connection, &words(&["CONFIG", "SET", "maxmemory", "0"])).await;
    for id in ["evt_new", "evt_failing"] {
        assert_eq!(receiver.handle(id).await, HANDLED);
    }
}

#[tokio::test]
async fn a_replica_is_warned_about_and_claims_nothing() {
    let primary = RedisServer::start();
    let port = primary.url().trim_end_matches('/').rsplit_once(':').unwrap().1.to_owned();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    let store = RedisStore::new(connect(&replica.url()).await);
    assert_eq!(store.check().await.unwrap(), [StoreWarning::ReadOnly]);
    let error = store.claim(&request("caspay", "evt_1")).await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    let receiver = Receiver::new(store);
    assert_eq!(receiver.deliver("evt_1").await, UNAVAILABLE);
    assert_eq!(receiver.runs.starts.count(), 0);
}

#[tokio::test]
async fn a_check_that_cannot_be_made_is_an_error() {
    let server = RedisServer::start();
    let connection = connect(&server.url()).await;
    let () = ask(&connection, &words(&["ACL", "SETUSER", "default", "-info"])).await;
    let error = RedisStore::new(connection).check().await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
}
