//! What can be set, what can be forgotten, and who else may call.

use std::time::Duration;

use tower::{Layer as _, ServiceExt as _};
use tower_webhook::{
    Delivery, Envelope, EventRouter, Outcome, Provider, SignatureScheme, WebhookLayer, caspay, testing,
};

use super::shop::{Shop, Tx, book, booking, delivery};
use crate::stage::{DUPLICATE, HANDLED, Runs, SECOND, verdict};
use crate::support::{secret, secrets};

const DAY: Duration = Duration::from_secs(86_400);

/// Handlers that book at once.
fn at_once() -> EventRouter {
    EventRouter::new().fallback(async |delivery: Delivery, mut tx: Tx| book(&mut tx, delivery.id()).await)
}

/// How long the mark of an event is kept from now on, in seconds.
async fn kept_for(shop: &Shop) -> f64 {
    // Whole milliseconds, as the store writes them: a mark read in the millisecond that wrote it is no older.
    let sqlite = "SELECT (ends_at - CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)) / 1000.0 \
                  FROM tower_webhook_events";
    let postgres = "SELECT extract(epoch FROM ends_at - clock_timestamp())::float8 FROM tower_webhook_events";
    let statement = if std::any::type_name::<super::Db>().contains("Sqlite") { sqlite } else { postgres };
    sqlx::query_scalar(statement).fetch_one(&shop.pool).await.unwrap()
}

#[tokio::test]
async fn a_mark_is_kept_as_long_as_the_inbox_says() {
    for (days, inbox) in [(35, None), (90, Some(90 * DAY)), (1, Some(DAY))] {
        let shop = Shop::new().await;
        let inbox = inbox.map_or(shop.inbox(), |retention| shop.inbox().with_retention(retention));
        assert_eq!(shop.send(&shop.layer_with(inbox, at_once()), "evt_1").await, HANDLED);
        let (kept, wanted) = (kept_for(&shop).await, f64::from(days) * 86_400.0);
        assert!(kept <= wanted && kept > wanted - 300.0, "{kept} of {wanted}");
    }
}

#[tokio::test]
async fn a_mark_whose_time_is_over_is_none() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let short = || shop.inbox().with_retention(Duration::from_millis(50));
    assert_eq!(shop.handle(&shop.layer_with(short(), booking(&runs)), "evt_1", &runs).await, HANDLED);
    tokio::time::sleep(SECOND / 10).await;
    assert_eq!(shop.handle(&shop.layer_with(short(), booking(&runs)), "evt_1", &runs).await, HANDLED);
    assert_eq!(shop.effects("evt_1").await, 2);
}

/// The operator whose handler was wrong forgets both marks, and has the event sent again.
#[tokio::test]
async fn f48_what_is_forgotten_runs_again() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let (layer, inbox) = (shop.booking(&runs), shop.inbox());
    assert_eq!(shop.handle(&layer, "evt_1", &runs).await, HANDLED);
    inbox.forget(&delivery("evt_1")).await.unwrap();
    assert_eq!(shop.send(&layer, "evt_1").await, DUPLICATE, "the layer's own store has a mark, too");
    layer.processor().forget(&delivery("evt_1")).await.unwrap();
    assert_eq!(shop.handle(&layer, "evt_1", &runs).await, HANDLED);
    assert_eq!(shop.effects("evt_1").await, 2, "on purpose");
    inbox.forget(&delivery("evt_2")).await.unwrap();
    assert_eq!(shop.row("evt_2").await, None);
}

/// A queue's inbox and its workers' may share a table.
#[tokio::test]
async fn stages_have_marks_of_their_own() {
    let shop = Shop::new().await;
    let stage = |name: &str| shop.inbox().with_stage(name).unwrap().layer(at_once());
    for name in ["inbox", "workers"] {
        for again in [false, true] {
            let outcome = stage(name).oneshot(delivery("evt_1")).await.unwrap();
            assert_eq!(matches!(outcome, Outcome::Duplicate), again, "{name}: {outcome:?}");
        }
    }
    assert_eq!(shop.effects("evt_1").await, 2);
    for name in ["", "a b", "a#b", "Ä"] {
        assert!(shop.inbox().with_stage(name).is_err(), "{name:?}");
    }
    // The default has a name.
    assert!(shop.row("evt_1").await.is_some());
}

/// The same table may hold marks of a store in front; they are others.
#[tokio::test]
async fn a_store_in_the_same_table_is_another_matter() {
    let shop = Shop::new().await;
    let layer = || shop.layer(at_once()).with_store(shop.store.clone());
    let send = async || {
        let request = crate::support::from_caspay(crate::support::caspay_body("evt_1"));
        verdict(&layer().into_service().oneshot(request).await.unwrap())
    };
    assert_eq!((send().await, send().await), (HANDLED, DUPLICATE));
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tower_webhook_events").fetch_one(&shop.pool).await.unwrap();
    assert_eq!((rows, shop.effects("evt_1").await), (2, 1));
}

/// Nothing tells these events apart: each runs, in a transaction without a mark.
#[tokio::test]
async fn what_has_no_identity_is_committed_without_a_mark() {
    let shop = Shop::new().await;
    let acme = Provider::builder("acme")
        .signature(SignatureScheme::hmac_sha256("x-signature"))
        .envelope(Envelope::unidentified().with_constant_event_type("acme.hint"))
        .build()
        .unwrap();
    let send = async |events: EventRouter| {
        let layer =
            WebhookLayer::new(acme.clone(), secrets()).unwrap().with_dispatch(events.layer(shop.inbox()));
        let request = testing::sign(&acme, &secret(), r#"{"same":"bytes"}"#);
        verdict(&layer.into_service().oneshot(request).await.unwrap())
    };
    let booked = || EventRouter::new().fallback(async |_: Delivery, mut tx: Tx| book(&mut tx, "hint").await);
    assert_eq!((send(booked()).await, send(booked()).await), (HANDLED, HANDLED));
    assert_eq!(shop.effects("hint").await, 2);
    let rolled_back = EventRouter::new().fallback(async |_: Delivery, mut tx: Tx| {
        book(&mut tx, "hint").await.unwrap();
        Err::<(), _>(std::io::Error::other("no"))
    });
    assert_eq!(send(rolled_back).await, (503, "handler_failed"));
    let ended = EventRouter::new().fallback(async |_: Delivery, mut tx: Tx| {
        book(&mut tx, "hint").await.unwrap();
        sqlx::raw_sql("ROLLBACK").execute(&mut *tx).await.unwrap();
    });
    assert_eq!(send(ended).await, (503, "handler_failed"), "no 200 for what is not there");
    assert_eq!(shop.effects("hint").await, 2);
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tower_webhook_events").fetch_one(&shop.pool).await.unwrap();
    assert_eq!(rows, 0);
}

/// A worker behind a queue, or a job that catches up, meets the same marks.
#[tokio::test]
async fn a_processor_commits_to_the_inbox() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let processor = shop.booking(&runs).processor();
    let (outcome, ()) = tokio::join!(processor.process(delivery("evt_1")), async {
        runs.next().await.fail(tower_webhook::HandlerError::retry("later"));
    });
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    let (outcome, ()) =
        tokio::join!(processor.process(delivery("evt_1")), async { runs.next().await.succeed() });
    assert!(matches!(outcome, Outcome::Done), "{outcome:?}");
    let other = shop.booking(&runs).processor();
    assert!(matches!(other.process(delivery("evt_1")).await, Outcome::Duplicate));
    shop.is_done("evt_1").await;
    // A stage of the processor is the layer's store's alone.
    let staged = shop.booking(&runs).processor().with_stage("worker").unwrap();
    assert!(matches!(staged.process(delivery("evt_1")).await, Outcome::Duplicate));
}

#[tokio::test]
async fn t082_events_are_told_apart_by_scope_type_and_id() {
    let shop = Shop::new().await;
    let send = async |endpoint: &str, event_type: &str, id: &str| {
        let layer =
            WebhookLayer::new(caspay::provider(), secrets()).unwrap().with_endpoint(endpoint).unwrap();
        let layer = layer.with_dispatch(at_once().layer(shop.inbox()));
        let body = format!(r#"{{"id":"{id}","type":"{event_type}","data":{{}}}}"#);
        let request = crate::support::from_caspay(body);
        verdict(&layer.into_service().oneshot(request).await.unwrap())
    };
    let events = [
        ("a", "b", "c"),
        ("ab", "b", "c"),
        ("a", "bb", "c"),
        ("a", "b", "bc"),
        ("a", "bc", "c"),
        ("a", "b", "café"),
        ("a", "b", "cafe\\u0301"),
        ("a", "b", "x\\u0000'; DROP TABLE ledger; --"),
        ("a", "$1", "%s"),
        ("a", "b'", "?1"),
    ];
    for expected in [HANDLED, DUPLICATE] {
        for (endpoint, event_type, id) in events {
            // PostgreSQL's text holds no NUL: the effect of the test is bound to the same limit.
            let answer = send(endpoint, event_type, id).await;
            let unbookable = id.contains("u0000") && std::any::type_name::<super::Db>().contains("Postgres");
            let expected = if unbookable { (503, "handler_failed") } else { expected };
            assert_eq!(answer, expected, "{endpoint} {event_type} {id}");
        }
    }
    let long = "x".repeat(10_000);
    assert_eq!((send("a", "b", &long).await, send("a", "b", &long).await), (HANDLED, DUPLICATE));
    assert_eq!(shop.effects(&long).await, 1);
}
