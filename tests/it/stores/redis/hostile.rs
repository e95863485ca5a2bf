//! Ids that mean something to a server, and keys that hold something else.

use std::error::Error as _;

use redis::aio::MultiplexedConnection;
use tower_webhook::RedisStore;
use tower_webhook::dedup::{DedupStore as _, Lease, StoreError};

use super::{ask, connect, key_of, manage, words};
use crate::servers::{RedisServer, redis_url};
use crate::stage::{DUPLICATE, HANDLED, IN_FLIGHT, SECOND};
use crate::stores::receiver::{Receiver, TOO_SLOW, UNAVAILABLE, fresh_name, request, short_lease};

async fn receiver() -> Receiver<RedisStore<MultiplexedConnection>> {
    Receiver::new(RedisStore::new(connect(&redis_url()).await))
}

/// Ids as they stand between the quotes of a JSON string.
async fn tells_apart(ids: &[&str]) {
    let ids: Vec<_> = ids.iter().map(|id| (*id).to_owned()).collect();
    receiver().await.tells_apart(&ids).await;
}

#[tokio::test]
async fn t080_ids_that_stores_choke_on() {
    let long = "x".repeat(10_000);
    let longer = format!("{long}y");
    tells_apart(&[
        r"\u0000",
        r"a\u0000b",
        r"a\u0000",
        "a",
        r"\u001b[31m\r\n",
        &long,
        &longer,
        "😀",
        r"\ud83d\ude01",
    ])
    .await;
}

#[tokio::test]
async fn t081_ids_are_not_normalised() {
    tells_apart(&["café", "cafe\u{301}", "Café"]).await;
}

#[tokio::test]
async fn t082_endpoints_share_a_server_and_no_event() {
    let (one, other) = (receiver().await, receiver().await);
    for receiver in [&one, &other] {
        assert_eq!(receiver.handle("evt_1").await, HANDLED);
    }
    for receiver in [&one, &other] {
        assert_eq!(receiver.deliver("evt_1").await, DUPLICATE);
    }
}

#[tokio::test]
async fn t083_the_parts_of_a_key_keep_their_bounds() {
    let (connection, name) = (connect(&redis_url()).await, fresh_name());
    let store = RedisStore::new(connection.clone());
    let mut keys = Vec::new();
    for (scope, id) in [(name.clone(), "b:c".to_owned()), (format!("{name}:b"), "c".to_owned())] {
        store.claim(&request(&scope, &id)).await.unwrap();
        keys.push(key_of(&scope, &id));
    }
    let found: u64 = ask(&connection, &words(&["EXISTS", &keys[0], &keys[1]])).await;
    assert_eq!((found, keys[0] == keys[1]), (2, false));
}

#[tokio::test]
async fn t084_ids_with_a_meaning_in_redis() {
    tells_apart(&["{}", "{a}b", "*", "a b", "a", r"a\r\nDEL *\r\n", "webhook:{caspay}:a", "a:done"]).await;
}

/// Whatever the id is, the key is of one length, and its hash tag is all of the digest.
#[tokio::test]
async fn t084_no_id_gets_into_the_key() {
    let server = RedisServer::start();
    let connection = connect(&server.url()).await;
    let store = RedisStore::new(connection.clone());
    let ids = ["{}", "}{", "*", "\r\n", "\0", &"x".repeat(10_000)];
    for id in ids {
        store.claim(&request("caspay", id)).await.unwrap();
    }
    let mut keys: Vec<String> = ask(&connection, &words(&["KEYS", "*"])).await;
    let mut expected: Vec<_> = ids.iter().map(|id| key_of("caspay", id)).collect();
    keys.sort();
    expected.sort();
    assert_eq!(keys, expected);
    assert!(keys.iter().all(|key| key.len() == 53 && key.matches(['{', '}']).count() == 2));
}

#[tokio::test]
async fn t101_ids_that_are_programs() {
    tells_apart(&[
        "'; drop table webhook_events; --",
        "$1",
        "%s",
        "%d%016.0f",
        "]] redis.call('FLUSHALL') --[[",
        "KEYS[1]",
        "ARGV[1]",
        "' .. redis.call('FLUSHALL') .. '",
    ])
    .await;
}

/// The event, and what a key that holds `foreign` makes of it: nothing runs, nothing is overwritten.
async fn is_refused(foreign: &[&str], unchanged: &[&str]) {
    let receiver = receiver().await;
    let connection = connect(&redis_url()).await;
    let (scope, id) = (receiver.scope(), "evt_1");
    let key = key_of(&scope, id);
    let fill = |template: &[&str]| {
        let mut command = redis::Cmd::new();
        command.arg(template.iter().map(|word| word.replace("KEY", &key)).collect::<Vec<_>>());
        command
    };
    let () = ask(&connection, &fill(foreign)).await;
    let before: redis::Value = ask(&connection, &fill(unchanged)).await;

    assert_eq!(receiver.deliver(id).await, UNAVAILABLE, "{foreign:?}");
    assert_eq!(receiver.runs.starts.count(), 0, "{foreign:?}");
    let store = RedisStore::new(connection.clone());
    let lease = Lease::new(*request(&scope, id).key(), 1_700_000_000_000_000);
    corrupt(&store.claim(&request(&scope, id)).await.unwrap_err(), foreign);
    corrupt(&store.complete(&lease, SECOND).await.unwrap_err(), foreign);
    corrupt(&store.release(&lease).await.unwrap_err(), foreign);
    corrupt(&store.forget(lease.key()).await.unwrap_err(), foreign);
    let after: redis::Value = ask(&connection, &fill(unchanged)).await;
    assert_eq!(before, after, "{foreign:?}");

    let () = ask(&connection, &fill(&["DEL", "KEY"])).await;
    assert_eq!(receiver.handle(id).await, HANDLED);
}

#[track_caller]
fn corrupt(error: &StoreError, foreign: &[&str]) {
    assert!(error.is_corrupt(), "{foreign:?}: {error} {:?}", error.source().map(ToString::to_string));
}

#[tokio::test]
async fn t100_a_key_of_another_type_is_not_new() {
    for (foreign, unchanged) in [
        (["RPUSH", "KEY", "11700000000000000"].as_slice(), ["LRANGE", "KEY", "0", "-1"].as_slice()),
        (&["HSET", "KEY", "state", "1"], &["HGETALL", "KEY"]),
        (&["SADD", "KEY", "1"], &["SMEMBERS", "KEY"]),
        (&["ZADD", "KEY", "1", "1"], &["ZRANGE", "KEY", "0", "-1"]),
        (&["XADD", "KEY", "1-1", "a", "b"], &["XLEN", "KEY"]),
    ] {
        is_refused(foreign, unchanged).await;
    }
}

#[tokio::test]
async fn t100_garbage_is_not_new() {
    for garbage in [
        "",
        "1",
        "2",
        "done",
        "1170000000000000",
        "117000000000000000",
        "1170000000000000x",
        "1-700000000000000",
        "1 700000000000000",
        "11.70000000000000",
        "11e1400000000000x",
        "1\n1700000000000000",
        "\0",
    ] {
        is_refused(&["SET", "KEY", garbage, "PX", "60000"], &["GET", "KEY"]).await;
    }
}

/// A later version may know more states; this one leaves them alone.
#[tokio::test]
async fn f50_an_unknown_state_is_not_new() {
    for state in ["0", "4", "9"] {
        is_refused(&["SET", "KEY", &format!("{state}1700000000000000"), "PX", "60000"], &["GET", "KEY"])
            .await;
    }
}

/// A mark without an end would be one for ever. Its completion gives it one.
#[tokio::test]
async fn t100_a_mark_without_expiry_is_not_new() {
    let receiver = receiver().await;
    let connection = connect(&redis_url()).await;
    let key = key_of(&receiver.scope(), "evt_1");
    for state in ["1", "2"] {
        let () = ask(&connection, &words(&["SET", &key, &format!("{state}1700000000000000")])).await;
        assert_eq!(receiver.deliver("evt_1").await, UNAVAILABLE);
        let store = RedisStore::new(connection.clone());
        assert!(store.claim(&request(&receiver.scope(), "evt_1")).await.unwrap_err().is_corrupt());
    }
    assert_eq!(receiver.runs.starts.count(), 0);
    let lease = Lease::new(*request(&receiver.scope(), "evt_1").key(), 1_700_000_000_000_000);
    RedisStore::new(connection).complete(&lease, 60 * SECOND).await.unwrap();
    assert_eq!(receiver.deliver("evt_1").await, DUPLICATE);
}

/// The claim arrives all the same, and blocks for one lease. The connection outlives the caller's patience.
#[tokio::test]
async fn t102_a_claim_that_is_made_too_late_blocks_for_one_lease() {
    let server = RedisServer::start();
    let receiver = Receiver::with_timing(RedisStore::new(connect(&server.url()).await), short_lease());
    assert_eq!(receiver.handle("evt_0").await, HANDLED);
    server.pause();
    assert_eq!(receiver.deliver("evt_1").await, TOO_SLOW);
    assert_eq!(receiver.runs.starts.count(), 1, "no run without a claim");
    server.resume();
    assert_eq!(receiver.deliver("evt_1").await, IN_FLIGHT);
    assert_eq!(receiver.retry("evt_1", &[IN_FLIGHT]).await, HANDLED);
    assert_eq!((receiver.runs.starts.count(), receiver.deliver("evt_1").await), (2, DUPLICATE));
}

/// The connection gives up before the layer does: the same to the sender, and no less clear to the operator.
#[tokio::test]
async fn t102_a_connection_that_waits_in_vain_is_a_timeout() {
    let server = RedisServer::start();
    let client = redis::Client::open(server.url()).unwrap();
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(SECOND / 10));
    let connection = client.get_multiplexed_async_connection_with_config(&config).await.unwrap();
    let receiver = Receiver::new(RedisStore::new(connection));
    server.pause();
    assert_eq!(receiver.deliver("evt_1").await, TOO_SLOW);
    assert_eq!(receiver.runs.starts.count(), 0);
    server.resume();
}

/// What an operator may read of an error, in all of its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let text = format!("{error} {error:?}\n");
    error.source().map_or(text.clone(), |source| text + &chain(source))
}

#[tokio::test]
async fn no_error_and_no_debug_output_has_the_password() {
    const PASSWORD: &str = "a-password-of-the-test";
    let server = RedisServer::start();
    let admin = connect(&server.url()).await;
    let () = ask(&admin, &words(&["CONFIG", "SET", "requirepass", PASSWORD])).await;
    let url = server.url().replace("redis://", &format!("redis://:{PASSWORD}@"));
    let store = RedisStore::new(manage(&url).await);
    store.claim(&request("caspay", "evt_1")).await.unwrap();
    assert!(!format!("{store:?}").contains(PASSWORD));

    let () = ask(&admin, &words(&["CONFIG", "SET", "requirepass", "another"])).await;
    let () = ask(&admin, &words(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])).await;
    let mut texts = String::new();
    for n in 0..3 {
        let error = store.claim(&request("caspay", &format!("evt_{n}"))).await.unwrap_err();
        assert!(error.is_unavailable());
        texts += &chain(&error);
    }
    assert!(texts.contains("authentication"), "{texts}");
    assert!(!texts.contains(PASSWORD), "{texts}");
}
