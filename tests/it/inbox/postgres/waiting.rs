//! Duplicates that come to another instance while the event is handled: they wait for the transaction.

use std::time::Duration;

use tower_webhook::HandlerError;

use crate::inbox::postgres::shop::{Shop, booking};
use crate::stage::{DUPLICATE, HANDLED, Runs, SECOND};

const BUSY: (u16, &str) = (503, "handler_busy");
const FAILED: (u16, &str) = (503, "handler_failed");

/// Two instances with a pool each.
async fn two() -> (Shop, Shop, Runs) {
    let shop = Shop::new().await;
    let other = shop.another(4).await;
    (shop, other, Runs::new())
}

/// How many wait for somebody else's lock.
async fn waiting(shop: &Shop) -> i64 {
    let waiting = "SELECT count(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    sqlx::query_scalar(waiting).fetch_one(&shop.pool).await.unwrap()
}

async fn somebody_waits(shop: &Shop) {
    let asked = async {
        while waiting(shop).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(60 * SECOND, asked).await.expect("nobody waits");
}

#[tokio::test]
async fn one_that_waits_is_a_duplicate_after_the_commit() {
    let (shop, other, runs) = two().await;
    let patient = other.layer_with(other.inbox().with_lock_timeout(60 * SECOND), booking(&runs));
    let (answer, run) = shop.begin(&shop.booking(&runs), "evt_1", &runs).await;
    let waiting = other.post(&patient, "evt_1");
    somebody_waits(&shop).await;
    run.succeed();
    assert_eq!((answer.await.unwrap(), waiting.await.unwrap()), (HANDLED, DUPLICATE));
    assert_eq!(runs.starts.count(), 1);
    shop.is_done("evt_1").await;
}

#[tokio::test]
async fn f16_one_that_waits_inherits_after_a_rollback() {
    let (shop, other, runs) = two().await;
    let patient = other.layer_with(other.inbox().with_lock_timeout(60 * SECOND), booking(&runs));
    let (answer, run) = shop.begin(&shop.booking(&runs), "evt_1", &runs).await;
    let mut waiting = other.post(&patient, "evt_1");
    somebody_waits(&shop).await;
    run.fail(HandlerError::retry("the first one fails"));
    let heir = tokio::select! {
        heir = runs.next() => heir,
        early = &mut waiting => panic!("answered {early:?} without a handler"),
    };
    // The record of the first one's failure waits for the heir, in vain.
    assert_eq!(answer.await.unwrap(), FAILED);
    heir.succeed();
    assert_eq!(waiting.await.unwrap(), HANDLED);
    assert_eq!(shop.row("evt_1").await, Some(("done".to_owned(), 1, None)));
    shop.is_done("evt_1").await;
}

#[tokio::test]
async fn one_that_waits_too_long_is_told_to_come_back() {
    let (shop, other, runs) = two().await;
    let (answer, run) = shop.begin(&shop.booking(&runs), "evt_1", &runs).await;
    let (began, instance) = (std::time::Instant::now(), other.booking(&runs));
    assert_eq!(other.send(&instance, "evt_1").await, BUSY, "never 200 before it is done");
    assert!(began.elapsed() >= SECOND / 2, "the default lock timeout");
    assert_eq!(waiting(&shop).await, 0, "the server has given up, too");
    run.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED);
    assert_eq!(other.send(&instance, "evt_1").await, DUPLICATE);
    assert_eq!(runs.starts.count(), 1);
    shop.is_done("evt_1").await;
}

/// Whatever the user's default is, a duplicate is none of the handler's business.
#[tokio::test]
async fn stricter_isolation_changes_nothing() {
    for level in ["repeatable read", "serializable"] {
        let (shop, mut other, runs) = two().await;
        let options = shop.pool.connect_options().as_ref().clone();
        let options = options.options([("default_transaction_isolation", level)]);
        let strict = || sqlx::postgres::PgPoolOptions::new().max_connections(4).connect_with(options.clone());
        other.pool = strict().await.unwrap();
        other.store = super::Store::new(other.pool.clone());
        let patient = || other.layer_with(other.inbox().with_lock_timeout(60 * SECOND), booking(&runs));

        let (answer, run) = other.begin(&patient(), "evt_1", &runs).await;
        let waiting = other.post(&patient(), "evt_1");
        somebody_waits(&shop).await;
        run.succeed();
        assert_eq!(answer.await.unwrap(), HANDLED, "{level}");
        let waited = waiting.await.unwrap();
        assert!([BUSY, DUPLICATE].contains(&waited), "{level}: {waited:?}");
        assert_eq!(other.send(&patient(), "evt_1").await, DUPLICATE, "{level}");

        let (answer, run) = other.begin(&patient(), "evt_2", &runs).await;
        let waiting = other.post(&patient(), "evt_2");
        somebody_waits(&shop).await;
        run.fail(HandlerError::retry("no"));
        let heir = runs.next().await;
        heir.succeed();
        assert_eq!((answer.await.unwrap(), waiting.await.unwrap()), (FAILED, HANDLED), "{level}");
        shop.is_done("evt_1").await;
        shop.is_done("evt_2").await;
    }
}

/// Sixty-four at once, from four processes: one runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f15_a_storm_across_instances_runs_once() {
    let shop = Shop::new().await;
    let runs = Runs::new();
    let mut instances = Vec::new();
    for _ in 0..4 {
        let instance = shop.another(4).await;
        let layers: Vec<_> = (0..16).map(|_| instance.booking(&runs)).collect();
        instances.push((instance, layers));
    }
    for id in ["evt_1", "evt_2", "evt_3"] {
        let mut answers = Vec::new();
        for (instance, layers) in &instances {
            answers.extend(layers.iter().map(|layer| instance.post(layer, id)));
        }
        runs.next().await.succeed();
        let mut statuses = Vec::new();
        for answer in answers {
            statuses.push(answer.await.unwrap());
        }
        assert_eq!(statuses.iter().filter(|status| **status == HANDLED).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [HANDLED, DUPLICATE, BUSY].contains(status)), "{statuses:?}");
        shop.is_done(id).await;
    }
    assert_eq!(runs.starts.count(), 3);
}
