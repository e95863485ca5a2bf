//! Attempts that are cut off in the middle of a statement, and the connections that they leave.

use std::time::Duration;

use crate::inbox::postgres::shop::{Shop, booking};
use crate::servers::PostgresServer;
use crate::stage::{HANDLED, Runs, SECOND};

/// A server that does not answer for longer than an event waits. `BEGIN` is on its way then, and is performed when
/// the server comes back: the connection must not return to the pool with that transaction open, or what others do
/// with it is committed by nobody.
#[tokio::test]
async fn f11_a_beginning_that_was_cut_off_leaves_no_open_transaction() {
    let server = PostgresServer::start();
    let shop = Shop::open(server.database().await, 2).await;
    let runs = Runs::new();
    // So that the pause does not meet a connection's test of itself.
    let options = sqlx::postgres::PgPoolOptions::new().max_connections(2).test_before_acquire(false);
    let pool = options.connect_with(shop.pool.connect_options().as_ref().clone()).await.unwrap();
    let victim = Shop { store: super::Store::new(pool.clone()), pool, home: shop.home.clone() };
    sqlx::query("SELECT 1").execute(&victim.pool).await.unwrap();
    tokio::time::sleep(SECOND / 10).await;

    server.pause();
    assert_eq!(victim.send(&victim.booking(&runs), "evt_1").await.0, 503);
    server.resume();
    let idle = "SELECT count(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND state = 'idle in transaction'";
    for _ in 0..20 {
        sqlx::query("INSERT INTO ledger (id) VALUES ('plain')").execute(&victim.pool).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let open: i64 = sqlx::query_scalar(idle).fetch_one(&shop.pool).await.unwrap();
    assert_eq!((open, shop.effects("plain").await), (0, 20));
    assert_eq!(runs.starts.count(), 0);
    assert_eq!(victim.handle(&victim.booking(&runs), "evt_1", &runs).await, HANDLED);
    shop.is_done("evt_1").await;
}

/// A handler's timeout in the middle of a statement: the connection is busy until that ends, and counts as taken.
#[tokio::test]
async fn a_statement_that_was_cut_off_keeps_its_place_until_it_ends() {
    let shop = Shop::with_connections(2).await;
    let slow = tower_webhook::EventRouter::new().fallback(
        async |_: tower_webhook::Delivery, mut tx: crate::inbox::postgres::shop::Tx| {
            sqlx::query("SELECT pg_sleep(3)").execute(&mut *tx).await.map(drop)
        },
    );
    let slow = shop.layer(slow).with_timing(crate::inbox::postgres::shop::short()).unwrap();
    assert_eq!(shop.send(&slow, "evt_1").await.0, 503);
    assert!(slow.shutdown().drain(60 * SECOND).await.is_complete());
    // The one place is taken still; the other connection is free.
    sqlx::query("SELECT 1").execute(&shop.pool).await.unwrap();
    let runs = Runs::new();
    let next = shop.layer(booking(&runs));
    assert_eq!(shop.handle(&next, "evt_2", &runs).await, HANDLED, "once the statement has ended");
    shop.comes_back("evt_1").await;
}
