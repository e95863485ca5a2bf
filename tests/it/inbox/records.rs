//! What operators read of attempts that failed.

use tower_webhook::{Delivery, EventRouter, HandlerError};

use super::shop::{Row, Shop, Tx, book, booking};
use crate::stage::{HANDLED, Runs};

fn row(state: &str, attempts: i32, error: Option<&str>) -> Option<Row> {
    Some((state.to_owned(), attempts, error.map(str::to_owned)))
}

#[tokio::test]
async fn failures_are_recorded_although_they_are_rolled_back() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let layer = shop.booking(&runs);
    for (attempts, error) in [(1, "no answer"), (2, "refused"), (3, "closed")] {
        assert_eq!(shop.fail(&layer, "evt_1", &runs, HandlerError::retry(error)).await.0, 503);
        assert_eq!(shop.row("evt_1").await, row("pending", attempts, Some(error)));
        assert_eq!(shop.effects("evt_1").await, 0);
    }
    assert_eq!(shop.handle(&layer, "evt_1", &runs).await, HANDLED);
    assert_eq!(shop.row("evt_1").await, row("done", 4, None), "the error is no more");
}

#[tokio::test]
async fn every_kind_of_failure_is_recorded() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let layer = shop.booking(&runs);
    shop.fail(&layer, "permanent", &runs, HandlerError::permanent("never")).await;
    assert_eq!(shop.row("permanent").await, row("pending", 1, Some("never")));
    shop.fail(&layer, "unreadable", &runs, HandlerError::unreadable("what?")).await;
    assert_eq!(shop.row("unreadable").await, row("pending", 1, Some("what?")));
    let events = EventRouter::new().fallback(async |delivery: Delivery, mut tx: Tx| {
        book(&mut tx, delivery.id()).await.unwrap();
        assert!(delivery.id().is_empty(), "a text that is nobody's business");
    });
    shop.send(&shop.layer(events), "panic").await;
    assert_eq!(shop.row("panic").await, row("pending", 1, Some("the handler panicked")));
}

#[tokio::test]
async fn an_error_is_escaped_and_cut() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let error = format!("a\0b\x1b[2J\r\n'; drop table ledger; -- {}", "x".repeat(10_000));
    shop.fail(&shop.booking(&runs), "evt_1", &runs, HandlerError::retry(error)).await;
    let (_, _, error) = shop.row("evt_1").await.unwrap();
    let error = error.unwrap();
    assert!(error.starts_with(r"a\u{0}b\u{1b}[2J\r\n'; drop table ledger; -- xx"), "{error}");
    assert!(error.ends_with("x...") && error.len() < 230, "{error}");
    shop.comes_back("evt_1").await;
}

/// Its record would say that the event is pending. Another attempt has done it meanwhile.
#[tokio::test]
async fn nothing_is_recorded_over_a_done_mark() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let tell = runs.clone();
    // The transaction ends at once, and the handler fails later.
    let events = EventRouter::new().fallback(move |delivery: Delivery, mut tx: Tx| {
        let run = tell.run();
        async move {
            book(&mut tx, delivery.id()).await?;
            sqlx::raw_sql("ROLLBACK").execute(&mut *tx).await?;
            run.await
        }
    });
    let (answer, slow) = shop.begin(&shop.layer(events), "evt_1", &runs).await;
    let (other, told) = (shop.another(4).await, Runs::new());
    assert_eq!(other.handle(&other.layer(booking(&told)), "evt_1", &told).await, HANDLED);
    slow.fail(HandlerError::retry("too late"));
    assert_eq!(answer.await.unwrap().0, 503);
    assert_eq!(shop.row("evt_1").await, row("done", 1, None));
    shop.is_done("evt_1").await;
}

#[tokio::test]
async fn a_handler_that_ends_the_transaction_cannot_undo_who_came_after() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let tell = runs.clone();
    let events = EventRouter::new().fallback(move |_: Delivery, mut tx: Tx| {
        let run = tell.run();
        async move {
            sqlx::raw_sql("ROLLBACK").execute(&mut *tx).await?;
            run.await
        }
    });
    let (answer, slow) = shop.begin(&shop.layer(events), "evt_1", &runs).await;
    let (other, told) = (shop.another(4).await, Runs::new());
    assert_eq!(other.handle(&other.booking(&told), "evt_1", &told).await, HANDLED);
    slow.succeed();
    assert_eq!(answer.await.unwrap().0, 503, "it holds no mark");
    assert_eq!(shop.row("evt_1").await, row("done", 1, None));
    shop.is_done("evt_1").await;
}
