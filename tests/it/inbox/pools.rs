//! Connections: transactions and those who wait for one leave the last connection of the pool to others.

use std::time::Duration;

use futures_util::future::join_all;
use tower_webhook::{ConfigError, Delivery, EventRouter, HandlerError, WebhookLayer, caspay};

use super::Store;
use super::shop::{Shop, Tx, book, booking, short};
use crate::stage::{HANDLED, Runs, SECOND, verdict, within_a_minute};
use crate::support::{caspay_body, from_caspay, secrets};

/// Connections that are free at once: those of the pool that are idle, or not yet made.
async fn one_is_free(shop: &Shop) {
    within_a_minute(async { sqlx::query("SELECT 1").execute(&shop.pool).await.unwrap() }).await;
}

async fn all_are_free(shop: &Shop) {
    let connections = shop.pool.options().get_max_connections();
    let taken = join_all((0..connections).map(|_| shop.pool.acquire()));
    for connection in within_a_minute(taken).await {
        connection.unwrap();
    }
}

#[tokio::test]
async fn f44_blocked_handlers_leave_the_last_connection_free() {
    let (shop, runs) = (Shop::with_connections(4).await, Runs::new());
    let layer = shop.booking(&runs);
    let answers: Vec<_> = (0..50).map(|id| shop.post(&layer, &format!("evt_{id}"))).collect();
    let first = runs.next().await;
    for _ in 0..10 {
        one_is_free(&shop).await;
        tokio::time::sleep(SECOND / 10).await;
    }
    first.succeed();
    // Those that run are answered when the sender's patience ends; those that wait have heard earlier.
    let answers = within_a_minute(join_all(answers)).await;
    let count = |wanted| answers.iter().filter(|answer| *answer.as_ref().unwrap() == wanted).count();
    assert_eq!(count(HANDLED), 1, "{answers:?}");
    let (busy, late) = (count((503, "handler_busy")), count((503, "respond_by_passed")));
    assert_eq!(busy + late, 49, "{answers:?}");
    assert!(busy >= 46, "three transactions at the most: {busy}");
    one_is_free(&shop).await;
    let _ = layer.shutdown().drain(Duration::ZERO).await;
    all_are_free(&shop).await;
}

/// Attempts that are cut off give their connections back, however many there were.
#[tokio::test]
async fn connections_come_back_from_handlers_that_time_out() {
    let (shop, runs) = (Shop::with_connections(3).await, Runs::new());
    let layer = shop.booking(&runs).with_timing(short()).unwrap();
    for round in 0..4 {
        let answers = (0..6).map(|id| shop.post(&layer, &format!("evt_{round}_{id}")));
        for answer in join_all(answers.collect::<Vec<_>>()).await {
            assert_eq!(answer.unwrap().0, 503);
        }
    }
    assert!(layer.shutdown().drain(60 * SECOND).await.is_complete());
    all_are_free(&shop).await;
    let runs = Runs::new();
    assert_eq!(shop.handle(&shop.booking(&runs), "evt_1", &runs).await, HANDLED);
}

#[tokio::test]
async fn inboxes_of_one_store_share_the_limit() {
    let (shop, runs) = (Shop::with_connections(2).await, Runs::new());
    let (first, second) =
        (shop.booking(&runs), shop.layer_with(shop.store.clone().inbox().unwrap(), booking(&runs)));
    let (answer, run) = shop.begin(&first, "evt_1", &runs).await;
    assert_eq!(
        shop.send(&second, "evt_2").await,
        (503, "handler_busy"),
        "the other connection is no inbox's"
    );
    assert_eq!(runs.starts.count(), 1);
    one_is_free(&shop).await;
    run.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED);
    assert_eq!(shop.handle(&second, "evt_2", &runs).await, HANDLED);
}

#[tokio::test]
async fn a_pool_without_a_connection_to_spare_is_refused() {
    let shop = Shop::with_connections(1).await;
    let refused = shop.store.inbox().unwrap_err();
    assert!(matches!(refused, ConfigError::PoolTooSmall { connections: 1 }), "{refused}");
    assert!(Shop::with_connections(2).await.store.inbox().is_ok());
}

/// A handler that uses the pool beside its transaction finds the connection that is always free.
#[tokio::test]
async fn f44_handlers_may_use_the_pool_beside_their_transaction() {
    let shop = Shop::with_connections(3).await;
    let pool = shop.pool.clone();
    let events = EventRouter::new().fallback(move |delivery: Delivery, mut tx: Tx| {
        let pool = pool.clone();
        async move {
            let _: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger").fetch_one(&pool).await?;
            book(&mut tx, delivery.id()).await
        }
    });
    let layer = shop.layer(events);
    let answers = (0..30).map(|id| shop.post(&layer, &format!("evt_{id}"))).collect::<Vec<_>>();
    let answers = within_a_minute(join_all(answers)).await;
    for (id, answer) in answers.into_iter().enumerate() {
        let handled = answer.unwrap() == HANDLED;
        assert_eq!(shop.effects(&format!("evt_{id}")).await, i64::from(handled));
    }
    all_are_free(&shop).await;
}

/// Marks without an inbox hold no connection while a handler runs: not even a pool of one can be starved.
#[tokio::test]
async fn f44_fifty_events_share_one_connection_with_their_handlers() {
    let shop = Shop::with_connections(1).await;
    let pool = shop.pool.clone();
    let events = EventRouter::new().fallback(move |delivery: Delivery| {
        let pool = pool.clone();
        async move {
            let mut transaction = pool.begin().await?;
            let book = sqlx::query("INSERT INTO ledger (id) VALUES ($1)").bind(delivery.id().to_owned());
            book.execute(&mut *transaction).await?;
            tokio::time::sleep(SECOND / 200).await;
            transaction.commit().await?;
            Ok::<_, HandlerError>(())
        }
    });
    let layer = WebhookLayer::new(caspay::provider(), secrets()).unwrap();
    let layer = layer.with_store(Store::clone(&shop.store)).with_dispatch(events);
    let send = |id: usize| {
        let service = layer.clone().into_service();
        let request = from_caspay(caspay_body(&format!("evt_{id}")));
        tokio::spawn(async move { verdict(&tower::ServiceExt::oneshot(service, request).await.unwrap()) })
    };
    let answers = within_a_minute(join_all((0..50).map(send).collect::<Vec<_>>())).await;
    for (id, answer) in answers.into_iter().enumerate() {
        let (status, effects) = (answer.unwrap().0, shop.effects(&format!("evt_{id}")).await);
        assert!(matches!((status, effects), (200, 1) | (503, 0 | 1)), "{status} {effects}");
    }
    assert!(layer.shutdown().drain(60 * SECOND).await.is_complete());
    all_are_free(&shop).await;
}
