//! Faults between the inbox and PostgreSQL.

use std::time::Duration;

use sqlx::postgres::PgPoolOptions;

use super::proxy::{Proxy, Wire};
use crate::inbox::postgres::Store;
use crate::inbox::postgres::shop::{Shop, booking, short};
use crate::servers::{PostgresServer, postgres_database};
use crate::stage::{DUPLICATE, HANDLED, Runs, SECOND, within_a_minute};

const FAILED: (u16, &str) = (503, "handler_failed");
const BUSY: (u16, &str) = (503, "handler_busy");

/// A shop, an instance of it at the other end of a wire, and the wire.
async fn wired() -> (Shop, Shop, Proxy) {
    let shop = Shop::open(postgres_database().await, 4).await;
    let proxy = Proxy::start(&shop.home).await;
    let pool = PgPoolOptions::new().max_connections(4).connect_with(proxy.options()).await.unwrap();
    let remote = Shop { store: Store::new(pool.clone()), pool, home: shop.home.clone() };
    (shop, remote, proxy)
}

/// Nobody knows whether the commit happened. It did.
#[tokio::test]
async fn f07_a_commit_whose_answer_is_lost_is_a_commit() {
    let (shop, remote, proxy) = wired().await;
    let runs = Runs::new();
    let layer = remote.booking(&runs);
    let (answer, run) = remote.begin(&layer, "evt_1", &runs).await;
    proxy.set(Wire::LosesAnswersToCommits);
    run.succeed();
    assert_eq!(answer.await.unwrap(), FAILED, "no 200 without a word from the server");
    proxy.set(Wire::Whole);
    assert_eq!(shop.row("evt_1").await, Some(("done".to_owned(), 1, None)), "no failure is recorded over it");
    assert_eq!(remote.send(&layer, "evt_1").await, DUPLICATE, "the retry, in the same instance");
    shop.is_done("evt_1").await;
}

/// Nobody knows whether the commit happened. It did not.
#[tokio::test]
async fn f07_a_commit_that_never_arrived_is_none() {
    let (shop, remote, proxy) = wired().await;
    let runs = Runs::new();
    let layer = remote.booking(&runs);
    let (answer, run) = remote.begin(&layer, "evt_1", &runs).await;
    proxy.set(Wire::LosesCommits);
    run.succeed();
    assert_eq!(answer.await.unwrap(), FAILED);
    proxy.set(Wire::Whole);
    assert_eq!(shop.effects("evt_1").await, 0);
    assert_eq!(remote.handle(&layer, "evt_1", &runs).await, HANDLED, "the retry, in the same instance");
    shop.is_done("evt_1").await;
}

/// The row's lock is held by a machine that nobody hears of any more: duplicates are told to come back, and the
/// server ends the transaction when it has been idle for too long.
#[tokio::test]
async fn f43_a_machine_that_vanishes_holds_its_event_for_the_idle_timeout() {
    let (shop, remote, proxy) = wired().await;
    let (gone, runs) = (Runs::new(), Runs::new());
    let inbox = remote.inbox().with_idle_timeout(2 * SECOND);
    let layer = remote.layer_with(inbox, booking(&gone));
    let (answer, vanished) = remote.begin(&layer, "evt_1", &gone).await;
    proxy.set(Wire::Frozen);
    let instance = shop.booking(&runs);
    assert_eq!(shop.send(&instance, "evt_1").await, BUSY, "by the lock timeout");
    let come_back = async {
        loop {
            let mut again = shop.post(&instance, "evt_1");
            tokio::select! {
                run = runs.next() => {
                    run.succeed();
                    return again.await.unwrap();
                }
                busy = &mut again => assert_eq!(busy.unwrap(), BUSY),
            }
        }
    };
    assert_eq!(within_a_minute(come_back).await, HANDLED);
    // It was not gone after all; its transaction is.
    vanished.succeed();
    proxy.set(Wire::Whole);
    assert_eq!(answer.await.unwrap().0, 503);
    assert!(layer.shutdown().drain(60 * SECOND).await.is_complete());
    shop.is_done("evt_1").await;
}

/// A database that does not answer in the time that a handler has, before the commit or at it: the sender is told to
/// come back, and the retry finds what came of it.
#[tokio::test]
async fn f11_a_commit_that_outlasts_the_handlers_time_is_not_torn() {
    for (wire, commits) in [(Wire::Frozen, false), (Wire::HoldsCommits, true)] {
        let (shop, remote, proxy) = wired().await;
        let runs = Runs::new();
        let layer = remote.booking(&runs).with_timing(short()).unwrap();
        let (answer, run) = remote.begin(&layer, "evt_1", &runs).await;
        proxy.set(wire);
        run.succeed();
        assert_eq!(answer.await.unwrap().0, 503);
        assert!(layer.shutdown().drain(60 * SECOND).await.is_complete());
        assert_eq!(shop.effects("evt_1").await, 0, "{wire:?}");
        proxy.set(Wire::Whole);
        if commits {
            let committed = async {
                while shop.effects("evt_1").await == 0 {
                    tokio::time::sleep(SECOND / 100).await;
                }
            };
            within_a_minute(committed).await;
            shop.is_done("evt_1").await;
        } else {
            shop.comes_back("evt_1").await;
        }
        // And its connection is good for more.
        assert_eq!(remote.handle(&remote.booking(&runs), "evt_2", &runs).await, HANDLED);
        shop.is_done("evt_2").await;
    }
}

/// Waits until a shop's pool has noticed that its server is another process now.
async fn reaches(shop: &Shop) {
    let asked = async {
        while sqlx::query("SELECT 1").execute(&shop.pool).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within_a_minute(asked).await;
}

#[tokio::test]
async fn f08_a_server_that_is_down_runs_nothing() {
    let mut server = PostgresServer::start();
    let (shop, runs) = (Shop::open(server.database().await, 4).await, Runs::new());
    let layer = shop.booking(&runs);
    assert_eq!(shop.handle(&layer, "evt_1", &runs).await, HANDLED);
    server.stop_fast();
    for id in ["evt_1", "evt_2"] {
        // The instance remembers the first by itself.
        let expected = if id == "evt_1" { 200 } else { 503 };
        assert_eq!(shop.send(&layer, id).await.0, expected, "{id}");
    }
    assert_eq!(shop.send(&shop.booking(&runs), "evt_1").await.0, 503, "another one cannot know");
    assert_eq!(runs.starts.count(), 1);
    server.restart();
    reaches(&shop).await;
    shop.is_done("evt_1").await;
    shop.comes_back("evt_2").await;
}

/// The server dies with the transaction open, or is stopped by its operator; the disk has no trace of it.
#[tokio::test]
async fn f04_f09_a_server_that_dies_before_the_commit_has_done_nothing() {
    type End = fn(&mut PostgresServer);
    let ends: [End; 2] = [PostgresServer::kill, PostgresServer::stop_fast];
    let mut server = PostgresServer::start();
    let shop = Shop::open(server.database().await, 4).await;
    for (end, id) in ends.into_iter().zip(["killed", "stopped"]) {
        let runs = Runs::new();
        let (answer, run) = shop.begin(&shop.booking(&runs), id, &runs).await;
        end(&mut server);
        run.succeed();
        assert_eq!(answer.await.unwrap().0, 503, "{id}");
        server.restart();
        reaches(&shop).await;
        shop.comes_back(id).await;
    }
}

/// What was answered 200 is on the disk.
#[tokio::test]
async fn f06_what_was_acknowledged_survives_a_crash_of_the_server() {
    let mut server = PostgresServer::start();
    let (shop, runs) = (Shop::open(server.database().await, 4).await, Runs::new());
    assert_eq!(shop.handle(&shop.booking(&runs), "evt_1", &runs).await, HANDLED);
    server.kill();
    server.restart();
    reaches(&shop).await;
    shop.is_done("evt_1").await;
}

/// A server that stands still, at each step: the sender hears 503 in time, and what comes of it comes of it once.
#[tokio::test]
async fn f11_a_server_that_stands_still_is_not_waited_for() {
    let server = PostgresServer::start();
    let (shop, runs) = (Shop::open(server.database().await, 4).await, Runs::new());
    let layer = shop.booking(&runs);

    let (answer, run) = shop.begin(&layer, "commit", &runs).await;
    server.pause();
    run.succeed();
    assert_eq!(answer.await.unwrap(), (503, "respond_by_passed"));
    let begin = shop.send(&shop.booking(&runs), "begin").await;
    server.resume();
    assert_eq!(begin, BUSY);
    assert!(layer.shutdown().drain(60 * SECOND).await.is_complete());
    assert_eq!(shop.send(&layer, "commit").await, DUPLICATE);
    shop.is_done("commit").await;
    assert_eq!(runs.starts.count(), 1);
    shop.comes_back("begin").await;
}
