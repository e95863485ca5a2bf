//! A failed statement spoils a transaction of PostgreSQL: what a handler says afterwards does not count.

use sqlx::Connection as _;
use tower::ServiceExt as _;
use tower_webhook::{Delivery, Envelope, EventRouter, Provider, SignatureScheme, WebhookLayer, testing};

use crate::inbox::postgres::shop::{Shop, Tx, book};
use crate::stage::{Verdict, verdict};
use crate::support::{secret, secrets};

const FAILED: Verdict = (503, "handler_failed");

/// Books, ignores what goes wrong, and says that all is well.
fn careless() -> EventRouter {
    EventRouter::new().fallback(async |_: Delivery, mut tx: Tx| {
        book(&mut tx, "evt_1").await.unwrap();
        assert!(sqlx::query("INSERT INTO nowhere VALUES (1)").execute(&mut *tx).await.is_err());
        assert!(book(&mut tx, "evt_1").await.is_err(), "spoilt");
    })
}

/// As above; its next savepoint cannot be set, and sqlx takes that for the end of the whole transaction.
fn very_careless() -> EventRouter {
    EventRouter::new().fallback(async |_: Delivery, mut tx: Tx| {
        book(&mut tx, "evt_1").await.unwrap();
        assert!(sqlx::query("INSERT INTO nowhere VALUES (1)").execute(&mut *tx).await.is_err());
        assert!(tx.begin().await.is_err());
    })
}

/// An event that nothing identifies: there is no mark whose absence would show that the transaction is gone.
async fn without_identity(shop: &Shop, events: EventRouter) -> Verdict {
    let acme = Provider::builder("acme")
        .signature(SignatureScheme::hmac_sha256("x-signature"))
        .envelope(Envelope::unidentified().with_constant_event_type("acme.hint"))
        .build()
        .unwrap();
    let layer = WebhookLayer::new(acme.clone(), secrets()).unwrap().with_dispatch(events.layer(shop.inbox()));
    let request = testing::sign(&acme, &secret(), r#"{"same":"bytes"}"#);
    verdict(&layer.into_service().oneshot(request).await.unwrap())
}

#[tokio::test]
async fn a_failed_statement_that_is_ignored_is_a_failed_attempt() {
    for events in [careless, very_careless] {
        let shop = Shop::new().await;
        assert_eq!(shop.send(&shop.layer(events()), "evt_1").await, FAILED);
        let (state, attempts, error) = shop.row("evt_1").await.unwrap();
        assert_eq!((&*state, attempts, error.is_some()), ("pending", 1, true));
        shop.comes_back("evt_1").await;
    }
}

#[tokio::test]
async fn no_event_is_too_nameless_for_that() {
    for events in [careless, very_careless] {
        let shop = Shop::new().await;
        assert_eq!(without_identity(&shop, events()).await, FAILED);
        assert_eq!(shop.effects("evt_1").await, 0);
    }
}

/// A lock timeout of the handler's own statement is an error like any other.
#[tokio::test]
async fn a_handler_waits_for_rows_as_long_as_for_marks() {
    let shop = Shop::new().await;
    let mut other = shop.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE ledger").execute(&mut *other).await.unwrap();
    let events = EventRouter::new().fallback(async |_: Delivery, mut tx: Tx| book(&mut tx, "evt_1").await);
    let inbox = shop.inbox().with_lock_timeout(std::time::Duration::from_millis(50));
    assert_eq!(shop.send(&shop.layer_with(inbox, events), "evt_1").await, FAILED);
    let (_, _, error) = shop.row("evt_1").await.unwrap();
    assert!(error.unwrap().contains("lock timeout"), "it says why");
    other.rollback().await.unwrap();
    shop.comes_back("evt_1").await;
}
