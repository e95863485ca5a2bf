//! Handlers that do with their transaction what they should, and what they should not.

use std::sync::Arc;

use sqlx::Connection as _;
use tokio::sync::{Notify, oneshot};
use tower::ServiceExt as _;
use tower_webhook::dispatch::TakesAll;
use tower_webhook::inbox::Tx as AnyTx;
use tower_webhook::{Delivery, EventRouter, HandlerError, WebhookLayer, caspay};

use super::OtherDb;
use super::shop::{Shop, Tx, book};
use crate::stage::{HANDLED, verdict};
use crate::support::{caspay_body, from_caspay, secrets};

const FAILED: (u16, &str) = (503, "handler_failed");

async fn run(tx: &mut Tx, statement: &'static str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(statement).execute(&mut **tx).await.map(drop)
}

/// Books before and after the statements, and succeeds whatever they say.
fn around(statements: &'static [&'static str]) -> EventRouter {
    EventRouter::new().fallback(move |delivery: Delivery, mut tx: Tx| async move {
        let _ = book(&mut tx, delivery.id()).await;
        for statement in statements {
            let _ = run(&mut tx, statement).await;
        }
    })
}

#[tokio::test]
async fn a_handler_that_rolls_back_by_itself_has_failed() {
    let statements: [&[&str]; 2] = [&["ROLLBACK"], &["ROLLBACK", "BEGIN"]];
    for statements in statements {
        let shop = Shop::new().await;
        assert_eq!(shop.send(&shop.layer(around(statements)), "evt_1").await, FAILED, "{statements:?}");
        shop.comes_back("evt_1").await;
    }
}

/// Mark and effect are committed then, but not by us: whether all that the handler had to do is among it is not known.
#[tokio::test]
async fn a_handler_that_commits_by_itself_has_failed() {
    let shop = Shop::new().await;
    assert_eq!(shop.send(&shop.layer(around(&["COMMIT"])), "evt_1").await, FAILED);
    assert_eq!(shop.effects("evt_1").await, 1);
}

#[tokio::test]
async fn savepoints_are_the_handlers_own() {
    let shop = Shop::new().await;
    let events = EventRouter::new().fallback(async |_: Delivery, mut tx: Tx| {
        book(&mut tx, "before").await?;
        let mut kept = tx.begin().await?;
        sqlx::query("INSERT INTO ledger (id) VALUES ('kept')").execute(&mut *kept).await?;
        kept.commit().await?;
        let mut undone = tx.begin().await?;
        sqlx::query("INSERT INTO ledger (id) VALUES ('undone')").execute(&mut *undone).await?;
        undone.rollback().await?;
        let mut dropped = tx.begin().await?;
        sqlx::query("INSERT INTO ledger (id) VALUES ('dropped')").execute(&mut *dropped).await?;
        assert!(sqlx::query("INSERT INTO nowhere VALUES (1)").execute(&mut *dropped).await.is_err());
        drop(dropped);
        book(&mut tx, "evt_1").await?;
        Ok::<_, sqlx::Error>(())
    });
    assert_eq!(shop.send(&shop.layer(events), "evt_1").await, HANDLED);
    for (id, effects) in [("before", 1), ("kept", 1), ("undone", 0), ("dropped", 0)] {
        assert_eq!(shop.effects(id).await, effects, "{id}");
    }
    shop.is_done("evt_1").await;
}

/// An error of the commit itself, after everything before it has succeeded.
#[tokio::test]
async fn a_constraint_that_fails_at_the_commit_is_a_failed_attempt() {
    let shop = Shop::new().await;
    shop.sql("CREATE TABLE account (id INTEGER PRIMARY KEY)").await;
    shop.sql("CREATE TABLE booking (account INTEGER REFERENCES account (id) DEFERRABLE INITIALLY DEFERRED)")
        .await;
    let layer = shop.layer(around(&["INSERT INTO booking VALUES (7)"]));
    assert_eq!(shop.send(&layer, "evt_1").await, FAILED);
    let (state, attempts, error) = shop.row("evt_1").await.unwrap();
    assert_eq!((&*state, attempts), ("pending", 1));
    assert!(error.unwrap().to_lowercase().contains("foreign key"), "it says why");
    shop.comes_back("evt_1").await;
}

#[tokio::test]
async fn a_handler_that_gives_its_transaction_away_has_failed() {
    let shop = Shop::new().await;
    let (enough, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, tell) = (Arc::clone(&enough), Arc::clone(&ended));
    let events = EventRouter::new().fallback(move |delivery: Delivery, mut tx: Tx| {
        let (told, tell) = (Arc::clone(&told), Arc::clone(&tell));
        async move {
            book(&mut tx, delivery.id()).await.unwrap();
            tokio::spawn(async move {
                told.notified().await;
                // The attempt is over; this is rolled back like the rest.
                book(&mut tx, delivery.id()).await.unwrap();
                drop(tx);
                tell.notify_one();
            });
        }
    });
    assert_eq!(shop.send(&shop.layer(events), "evt_1").await, FAILED);
    enough.notify_one();
    ended.notified().await;
    shop.comes_back("evt_1").await;
}

/// One that waits for its task has it back in time.
#[tokio::test]
async fn a_handler_may_lend_its_transaction() {
    let shop = Shop::new().await;
    let events = EventRouter::new().fallback(async |delivery: Delivery, mut tx: Tx| {
        let task = tokio::spawn(async move { book(&mut tx, delivery.id()).await });
        task.await.unwrap()
    });
    assert_eq!(shop.send(&shop.layer(events), "evt_1").await, HANDLED);
    shop.is_done("evt_1").await;
}

/// A thread of the handler's has no runtime.
#[tokio::test]
async fn a_transaction_may_be_dropped_by_a_thread() {
    let shop = Shop::new().await;
    let (told, dropped) = oneshot::channel();
    let told = Arc::new(std::sync::Mutex::new(Some(told)));
    let events = EventRouter::new().fallback(move |delivery: Delivery, mut tx: Tx| {
        let told = told.lock().unwrap().take();
        async move {
            book(&mut tx, delivery.id()).await.unwrap();
            std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(100));
                drop(tx);
                told.unwrap().send(()).unwrap();
            });
        }
    });
    assert_eq!(shop.send(&shop.layer(events), "evt_1").await, FAILED);
    dropped.await.expect("the thread panicked");
    shop.comes_back("evt_1").await;
}

async fn error_of(events: EventRouter) -> String {
    let shop = Shop::new().await;
    assert_eq!(shop.send(&shop.layer(events), "evt_1").await, FAILED);
    let (_, _, error) = shop.row("evt_1").await.unwrap();
    shop.comes_back("evt_1").await;
    error.unwrap()
}

#[tokio::test]
async fn a_handler_has_one_transaction() {
    let twice = EventRouter::new().fallback(async |_: Delivery, _: Tx, _: Tx| ());
    assert_eq!(error_of(twice).await, "the transaction is taken already: a handler has one `Tx`");
    let foreign = EventRouter::new().fallback(async |_: Delivery, _: AnyTx<OtherDb>| ());
    let missing = "there is no transaction to take: is the router behind an inbox of this database?";
    assert_eq!(error_of(foreign).await, missing);
}

#[tokio::test]
async fn a_transaction_without_an_inbox_is_an_error() {
    let layer = WebhookLayer::new(caspay::provider(), secrets()).unwrap();
    let layer = layer.with_dispatch(EventRouter::new().fallback(async |_: Delivery, _: Tx| ()));
    for _ in 0..2 {
        let request = from_caspay(caspay_body("evt_1"));
        assert_eq!(verdict(&layer.clone().into_service().oneshot(request).await.unwrap()), FAILED);
    }
}

/// A delivery that a handler keeps has no transaction for anybody, whatever becomes of the attempt.
#[tokio::test]
async fn a_kept_delivery_has_no_transaction() {
    use tower_webhook::FromDelivery as _;
    let shop = Shop::new().await;
    let (keep, mut kept) = tokio::sync::mpsc::unbounded_channel();
    let events = EventRouter::new().fallback(move |delivery: Delivery| {
        keep.send(delivery).unwrap();
        async {}
    });
    assert_eq!(shop.send(&shop.layer(events), "evt_1").await, HANDLED);
    let delivery = kept.recv().await.unwrap();
    assert!(Tx::from_delivery(&delivery, &()).is_err());
}

/// The inbox is around the dispatch, whatever that is: a service of the user's finds the transaction, too.
#[tokio::test]
async fn any_service_may_stand_behind_an_inbox() {
    use tower::Layer as _;
    use tower_webhook::FromDelivery as _;
    let shop = Shop::new().await;
    let service = tower::service_fn(async |delivery: Delivery| {
        let mut tx = Tx::from_delivery(&delivery, &()).map_err(|error| error.to_string())?;
        book(&mut tx, delivery.id()).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(tower_webhook::Outcome::Done)
    });
    let layer = WebhookLayer::new(caspay::provider(), secrets()).unwrap();
    let layer = layer.with_dispatch(TakesAll::new(shop.inbox().layer(service)));
    let answer = layer.into_service().oneshot(from_caspay(caspay_body("evt_1"))).await.unwrap();
    assert_eq!(verdict(&answer), HANDLED);
    shop.is_done("evt_1").await;
}

/// What fails in a handler and is handled there, by a savepoint, is no failure of the attempt.
#[tokio::test]
async fn a_handled_error_is_none() {
    let shop = Shop::new().await;
    let events = EventRouter::new().fallback(async |delivery: Delivery, mut tx: Tx| {
        let mut trial = tx.begin().await?;
        assert!(sqlx::query("INSERT INTO nowhere VALUES (1)").execute(&mut *trial).await.is_err());
        trial.rollback().await?;
        book(&mut tx, delivery.id()).await?;
        Ok::<_, HandlerError>(())
    });
    assert_eq!(shop.send(&shop.layer(events), "evt_1").await, HANDLED);
    shop.is_done("evt_1").await;
}
