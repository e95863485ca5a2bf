//! How attempts end, and what is left of them: mark and effect, or neither.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _};
use tower_webhook::{
    Delivery, EventRouter, HandlerError, LruStore, Outcome, RejectionReason, WebhookLayer, caspay,
};

use super::shop::{Shop, Tx, book, booking, delivery, short};
use crate::stage::{DUPLICATE, HANDLED, Runs, SECOND, verdict, within_a_minute};
use crate::support::{Calls, caspay_body, from_caspay, secrets};

const FAILED: (u16, &str) = (503, "handler_failed");

fn done() -> Option<(String, i32, Option<String>)> {
    Some(("done".to_owned(), 1, None))
}

#[tokio::test]
async fn ok_commits_mark_and_effect() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let layer = shop.booking(&runs);
    let (answer, run) = shop.begin(&layer, "evt_1", &runs).await;
    assert_eq!(
        (shop.effects("evt_1").await, shop.row("evt_1").await),
        (0, None),
        "nothing before the commit"
    );
    run.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED);
    assert_eq!((shop.effects("evt_1").await, shop.row("evt_1").await), (1, done()));

    assert_eq!(shop.send(&layer, "evt_1").await, DUPLICATE, "known to the instance");
    assert_eq!(shop.send(&shop.booking(&runs), "evt_1").await, DUPLICATE, "known to the inbox");
    assert_eq!(runs.starts.count(), 1);
    shop.is_done("evt_1").await;
    assert_eq!(shop.handle(&layer, "evt_2", &runs).await, HANDLED);
    assert_eq!(shop.effects("evt_2").await, 1);
}

/// There is no moment between the commit and the mark: a process that dies right after the commit has done both.
#[tokio::test]
async fn f05_a_crash_after_the_effect_is_a_crash_after_the_mark() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    // The layer, which would record it a second time, does not exist.
    let inbox = shop.inbox().layer(booking(&runs));
    let (outcome, ()) = tokio::join!(inbox.oneshot(delivery("evt_1")), async { runs.next().await.succeed() });
    assert!(matches!(outcome, Ok(Outcome::Done)), "{outcome:?}");
    shop.is_done("evt_1").await;
}

#[tokio::test]
async fn f04_what_a_handler_had_written_is_rolled_back() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let mut inbox = shop.inbox().layer(booking(&runs));
    let mut attempt = tower::Service::call(&mut inbox, delivery("evt_1"));
    let run = tokio::select! {
        run = runs.next() => run,
        ended = &mut attempt => panic!("{ended:?}"),
    };
    // As if the process had ended here.
    drop(attempt);
    run.dropped().await;
    shop.comes_back("evt_1").await;
}

#[tokio::test]
async fn f30_an_error_rolls_back_and_the_retry_runs() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let layer = shop.booking(&runs);
    assert_eq!(shop.fail(&layer, "evt_1", &runs, HandlerError::retry("later")).await, FAILED);
    assert_eq!(shop.effects("evt_1").await, 0);
    assert_eq!(shop.handle(&layer, "evt_1", &runs).await, HANDLED, "the same instance, at once");
    shop.is_done("evt_1").await;
}

#[tokio::test]
async fn f27_a_panic_rolls_back_and_the_retry_runs() {
    let shop = Shop::new().await;
    let events = EventRouter::new().fallback(async |delivery: Delivery, mut tx: Tx| {
        book(&mut tx, delivery.id()).await.unwrap();
        assert!(delivery.id().is_empty(), "after the booking");
    });
    assert_eq!(shop.send(&shop.layer(events), "evt_1").await, (503, "handler_panicked"));
    shop.comes_back("evt_1").await;
}

#[tokio::test]
async fn f31_a_permanent_error_commits_nothing() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let closed = HandlerError::permanent("the account is closed");
    assert_eq!(shop.fail(&shop.booking(&runs), "evt_1", &runs, closed.clone()).await, (500, "permanent"));

    let letters = Calls::default();
    let hook = letters.clone();
    let layer = shop.booking(&runs).with_dead_letter(move |_| {
        hook.add();
        async { Ok::<_, std::io::Error>(()) }
    });
    assert_eq!(shop.fail(&layer, "evt_2", &runs, closed).await, (200, "dead_lettered"));
    assert_eq!(shop.send(&layer, "evt_2").await, DUPLICATE, "the hook has it");
    assert_eq!(letters.count(), 1);
    for id in ["evt_1", "evt_2"] {
        shop.comes_back(id).await;
    }
}

#[tokio::test]
async fn f29_what_cannot_be_read_commits_nothing() {
    #[derive(serde::Deserialize)]
    struct Wrong {
        #[expect(dead_code, reason = "no payload has it")]
        nowhere: u8,
    }
    let shop = Shop::new().await;
    let events = EventRouter::new().on_type("payment.*", async |_: Wrong, _: Tx| ());
    assert_eq!(shop.send(&shop.layer(events), "evt_1").await, (500, "unreadable"));
    shop.comes_back("evt_1").await;
}

/// Middleware between inbox and handler that gives up: the layer cannot know what the handler had begun, and leaves
/// its claim to the lease; the inbox knows.
#[tokio::test]
async fn a_timeout_within_the_inbox_rolls_back() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let bounded = ServiceBuilder::new().layer(shop.inbox()).timeout(SECOND / 10).into_inner();
    let layer = WebhookLayer::new(caspay::provider(), secrets()).unwrap();
    let layer = layer.with_dispatch(booking(&runs).layer(bounded));
    let answer = layer.clone().into_service().oneshot(from_caspay(caspay_body("evt_1"))).await.unwrap();
    assert_eq!(verdict(&answer), (503, "dispatch_refused"));
    runs.next().await.dropped().await;
    let row = shop.row("evt_1").await.unwrap();
    assert_eq!((&*row.0, row.1, row.2.as_deref()), ("pending", 1, Some("request timed out")));
    shop.comes_back("evt_1").await;
}

#[tokio::test]
async fn a_handler_that_runs_into_its_timeout_is_rolled_back() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let layer = shop.booking(&runs).with_timing(short()).unwrap();
    let (answer, run) = shop.begin(&layer, "evt_1", &runs).await;
    let (status, reason) = answer.await.unwrap();
    assert!(status == 503 && ["handler_timeout", "respond_by_passed"].contains(&reason), "{reason}");
    run.dropped().await;
    shop.comes_back("evt_1").await;
}

/// What a handler keeps of its delivery, for a log or a queue, does not keep the transaction.
#[tokio::test]
async fn a_delivery_that_outlives_its_attempt_holds_nothing() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let kept: Arc<Mutex<Vec<Delivery>>> = Arc::default();
    let (keep, told) = (Arc::clone(&kept), runs.clone());
    // Without a `Tx`: the transaction is still where the handler would take it.
    let events = EventRouter::new().fallback(move |delivery: Delivery| {
        keep.lock().unwrap().push(delivery);
        told.run()
    });
    let layer = shop.layer(events).with_timing(short()).unwrap();
    let (answer, run) = shop.begin(&layer, "evt_1", &runs).await;
    assert_eq!(answer.await.unwrap().0, 503);
    run.dropped().await;
    assert_eq!(kept.lock().unwrap().len(), 1);
    shop.comes_back("evt_1").await;
}

/// What runs goes on in a task of its own, and is committed.
#[tokio::test]
async fn f17_a_sender_that_hangs_up_cancels_nothing() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let layer = shop.booking(&runs);
    let (answer, run) = shop.begin(&layer, "evt_1", &runs).await;
    answer.abort();
    assert!(answer.await.unwrap_err().is_cancelled());
    run.succeed();
    assert!(layer.shutdown().drain(60 * SECOND).await.is_complete());
    assert_eq!(layer.stats().moved(), 1);
    shop.is_done("evt_1").await;
}

/// A shutdown whose patience is over drops the handler, and with it the transaction.
#[tokio::test]
async fn f34_a_shutdown_rolls_back_what_it_stops() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let layer = shop.booking(&runs);
    let (answer, run) = shop.begin(&layer, "evt_1", &runs).await;
    answer.abort();
    assert!(answer.await.unwrap_err().is_cancelled());
    assert_eq!(layer.shutdown().drain(SECOND / 10).await.stopped(), 1);
    run.dropped().await;
    shop.comes_back("evt_1").await;
}

/// A runtime that ends takes the handlers with it, and waits for no database.
#[test]
fn f36_a_runtime_that_ends_rolls_back() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (first, runs) = (runtime(), Runs::new());
    let (shop, run) = first.block_on(async {
        let shop = Shop::new().await;
        let (_, run) = shop.begin(&shop.booking(&runs), "evt_1", &runs).await;
        (shop, run)
    });
    first.shutdown_timeout(10 * SECOND);
    let home = shop.home.clone();
    drop((shop, run));
    runtime().block_on(async { within_a_minute(reopened(&home).await.comes_back("evt_1")).await });
}

async fn reopened(home: &super::Home) -> Shop {
    let pool = super::connect(home, 4).await;
    Shop { store: super::Store::new(pool.clone()), pool, home: home.clone() }
}

/// The future is dropped where there is no runtime: nothing panics, and the database is told.
#[test]
fn a_future_that_outlives_its_runtime_rolls_back() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (first, runs) = (runtime(), Runs::new());
    let (shop, attempt) = first.block_on(async {
        let shop = Shop::new().await;
        let mut attempt = Box::pin(shop.inbox().layer(booking(&runs)).oneshot(delivery("evt_1")));
        tokio::select! {
            _ = runs.next() => {}
            ended = &mut attempt => panic!("{ended:?}"),
        }
        (shop, attempt)
    });
    first.shutdown_timeout(10 * SECOND);
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(attempt)));
    assert!(dropped.is_ok(), "panicked in drop");
    let home = shop.home.clone();
    drop(shop);
    runtime().block_on(async { within_a_minute(reopened(&home).await.comes_back("evt_1")).await });
}

/// A handler that declines or asks for patience has done nothing.
#[tokio::test]
async fn an_outcome_that_is_not_done_commits_nothing() {
    type Told = (fn() -> Outcome, (u16, &'static str));
    let told: [Told; 2] = [
        (|| Outcome::Unhandled, (200, "unhandled")),
        (|| Outcome::Busy { retry_after: 7 * SECOND }, (503, "handler_busy")),
    ];
    let shop = Shop::new().await;
    for (outcome, expected) in told {
        let events = EventRouter::new().fallback(move |delivery: Delivery, mut tx: Tx| async move {
            book(&mut tx, delivery.id()).await?;
            Ok::<_, HandlerError>(outcome())
        });
        let layer = shop.layer(events);
        assert_eq!(shop.send(&layer, "evt_1").await, expected);
        assert_eq!((shop.effects("evt_1").await, shop.row("evt_1").await), (0, None));
    }
    shop.comes_back("evt_1").await;
}

/// An attempt that is polled once, and never again, is over when it is dropped.
#[tokio::test]
async fn an_attempt_that_is_dropped_at_once_leaves_nothing() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    for _ in 0..20 {
        let mut attempt = tower::Service::call(&mut shop.inbox().layer(booking(&runs)), delivery("evt_1"));
        assert!((&mut attempt).now_or_never().is_none());
    }
    shop.comes_back("evt_1").await;
}

/// The store in front decides nothing: without it the inbox does all.
#[tokio::test]
async fn a_store_that_forgets_does_not_matter() {
    let (shop, runs) = (Shop::new().await, Runs::new());
    let layer = shop.booking(&runs).with_store(LruStore::new(1));
    let send = async |id: &str| {
        verdict(&layer.clone().into_service().oneshot(from_caspay(caspay_body(id))).await.unwrap())
    };
    for id in 0..20 {
        let id = format!("evt_{id}");
        let (answer, ()) = tokio::join!(send(&id), async { runs.next().await.succeed() });
        assert_eq!(answer, HANDLED);
    }
    for id in 0..20 {
        assert_eq!(send(&format!("evt_{id}")).await, DUPLICATE);
    }
    assert_eq!(layer.stats().rejected(RejectionReason::HandlerFailed), 0);
    assert_eq!(runs.starts.count(), 20);
}
