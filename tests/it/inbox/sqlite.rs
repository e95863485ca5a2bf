//! The inbox in SQLite.

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

use std::sync::Arc;

use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;
use tempfile::TempDir;
use tower::{Layer as _, ServiceExt as _};
use tower_webhook::dedup::SqliteStore;
use tower_webhook::{Delivery, Envelope, EventRouter, Outcome, Provider, SignatureScheme, testing};

use self::shop::{Shop, Tx, book};
use crate::stage::{DUPLICATE, HANDLED, Runs};

pub(crate) type Db = sqlx::Sqlite;
pub(crate) type OtherDb = sqlx::Postgres;
pub(crate) type Store = SqliteStore;

/// Where a database is; the folder goes with the last of those who know it.
pub(crate) type Home = Arc<TempDir>;

pub(crate) async fn fresh() -> Home {
    Arc::new(tempfile::tempdir().unwrap())
}

pub(crate) async fn connect(folder: &Home, connections: u32) -> SqlitePool {
    let options = SqliteStore::options(folder.path().join("shop.db"));
    SqlitePoolOptions::new().max_connections(connections).connect_with(options).await.unwrap()
}

/// SQLite has one writer: whoever waits for longer than the busy timeout is told to come back, duplicate or not.
#[tokio::test]
async fn who_waits_too_long_for_the_writer_is_told_to_come_back() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let other = shop.another(4).await;
    let (answer, run) = shop.begin(&shop.booking(&runs), "evt_1", &runs).await;
    let instance = other.booking(&runs);
    let (same, another) = tokio::join!(other.send(&instance, "evt_1"), other.send(&instance, "evt_2"));
    assert_eq!((same, another), ((503, "handler_busy"), (503, "handler_busy")));
    run.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED);
    assert_eq!(other.send(&instance, "evt_1").await, DUPLICATE);
    assert_eq!(other.handle(&instance, "evt_2", &runs).await, HANDLED);
    assert_eq!((shop.effects("evt_1").await, shop.effects("evt_2").await), (1, 1));
}

/// A transaction that reads first is a writer from its beginning: what it has read cannot be outdated when it writes.
#[tokio::test]
async fn a_handler_may_read_first() {
    let shop = Shop::new().await;
    let other = shop.another(1).await;
    sqlx::raw_sql("PRAGMA busy_timeout = 0").execute(&other.pool).await.unwrap();
    let events = EventRouter::new().fallback(move |_: Delivery, mut tx: Tx| {
        let other = other.pool.clone();
        async move {
            let _: i64 = sqlx::query_scalar("SELECT count(*) FROM ledger").fetch_one(&mut *tx).await?;
            let between = sqlx::raw_sql("INSERT INTO ledger VALUES ('between')").execute(&other).await;
            assert!(between.is_err(), "there is one writer");
            book(&mut tx, "evt_1").await
        }
    });
    // Without an identity there is no mark, whose insertion would make it a writer.
    let acme = Provider::builder("acme")
        .signature(SignatureScheme::hmac_sha256("x-signature"))
        .envelope(Envelope::unidentified().with_constant_event_type("acme.hint"))
        .build()
        .unwrap();
    let delivery = testing::delivery(&acme, "{}").unwrap();
    let outcome = shop.inbox().layer(events).oneshot(delivery).await.unwrap();
    assert!(matches!(outcome, Outcome::Done), "{outcome:?}");
    assert_eq!((shop.effects("evt_1").await, shop.effects("between").await), (1, 0));
}

/// A statement may end the transaction, and not the handler: a full disk, a conflict that rolls back. The connection goes
/// back to the pool as good as any, or every event that gets it afterwards is refused, for ever.
#[tokio::test]
async fn a_transaction_that_a_statement_has_ended_leaves_a_good_connection() {
    let (shop, runs) = (Shop::with_connections(2).await, Runs::new());
    shop.sql("CREATE TABLE once (id INTEGER PRIMARY KEY); INSERT INTO once VALUES (1)").await;
    let ends = ["INSERT OR ROLLBACK INTO once VALUES (1)", "ROLLBACK", "COMMIT"];
    for (round, statement) in ends.into_iter().enumerate() {
        let ending = EventRouter::new().fallback(move |_: Delivery, mut tx: Tx| async move {
            let _ = sqlx::raw_sql(statement).execute(&mut *tx).await;
        });
        assert_eq!(shop.send(&shop.layer(ending), &format!("evt_{round}")).await.0, 503, "{statement}");
        let next = shop.booking(&runs);
        for event in 0..4 {
            let id = format!("evt_{round}_{event}");
            assert_eq!(shop.handle(&next, &id, &runs).await, HANDLED, "{id} after {statement}");
        }
    }
}
