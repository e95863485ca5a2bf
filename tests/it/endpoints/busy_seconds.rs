//! Seconds with more events than an answer holds: which of them may be called complete.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tower_webhook::endpoints::{CatchUp, CaughtUp};
use tower_webhook::{EventRouter, LruStore, WebhookLayer, casapay};

use super::api::{Api, answer};
use super::casapay_events::event;
use crate::support::secrets;

/// The second, ten minutes ago.
fn busy() -> u64 {
    let then = SystemTime::now() - Duration::from_secs(600);
    then.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Sixty of each type, all of one second.
fn sixty_of_each(types: [&str; 2], second: u64) -> Vec<Value> {
    let of = |n: usize, event_type: &str| {
        let mut event = event(&format!("evt_{event_type}_{n}"), second);
        event["type"] = event_type.into();
        event
    };
    types.iter().flat_map(|event_type| (0..60).map(|n| of(n, event_type))).collect()
}

/// An API that keeps to type, time and limit, and says nothing about what is left.
async fn listing(events: Vec<Value>) -> Api {
    Api::with(move |request| {
        let text = |name: &str| {
            let found = request.url.query_pairs().find(|(parameter, _)| parameter == name);
            found.map(|(_, value)| value.into_owned())
        };
        let number = |name: &str| text(name).map(|value| value.parse::<u64>().unwrap());
        let (from, until) = (number("created[gte]").unwrap_or(0), number("created[lte]").unwrap_or(u64::MAX));
        let found: Vec<_> = events
            .iter()
            .filter(|event| (from..=until).contains(&event["created"].as_u64().unwrap()))
            .filter(|event| text("type").is_none_or(|event_type| event["type"] == event_type))
            .take(100)
            .collect();
        answer(200, json!({"data": found}))
    })
    .await
}

/// What becomes of these events where these types are handled.
async fn catch_up(handled: &[&str], events: Vec<Value>) -> CaughtUp {
    let api = listing(events).await;
    let router = handled
        .iter()
        .fold(EventRouter::new(), |router, event_type| router.on_type(event_type, async |_: Value| ()));
    let layer = WebhookLayer::new(casapay::provider(), secrets()).unwrap();
    let processor = layer.with_store(LruStore::new(1_000)).with_dispatch(router).processor();
    let since = SystemTime::now() - Duration::from_secs(3600);
    CatchUp::new(api.casapay(), processor).replay_missed(since).await.unwrap()
}

#[tokio::test]
async fn what_is_handled_by_name_is_read_whole() {
    let second = busy();
    let events = sixty_of_each(["invoice.paid", "charge.failed"], second);
    let caught_up = catch_up(&["invoice.paid", "charge.failed"], events).await;
    assert_eq!((caught_up.done, caught_up.overfull.len()), (120, 0), "{caught_up}");
    assert!(caught_up.is_complete());
}

/// The others are read as if it were not there; and since it may have taken something, the second is not complete.
#[tokio::test]
async fn a_pattern_that_matches_nothing_documented_costs_no_other_handler_its_events() {
    let second = busy();
    let events = sixty_of_each(["invoice.paid", "charge.failed"], second);
    let caught_up = catch_up(&["invoice.paid", "charge.failed", "brand_new.*"], events).await;
    assert_eq!((caught_up.done, &*caught_up.overfull), (120, &[second][..]), "{caught_up}");
    assert!(!caught_up.is_complete());
}

/// Documentation lags behind: nobody can name all types that a pattern takes.
#[tokio::test]
async fn a_pattern_takes_types_that_nobody_can_ask_for() {
    let second = busy();
    let events = sixty_of_each(["invoice.paid", "invoice.payment_failed"], second);
    let caught_up = catch_up(&["invoice.*"], events).await;
    // One answer's, and what there is of the documented type.
    assert_eq!((caught_up.done, &*caught_up.overfull), (100, &[second][..]), "{caught_up}");
    assert!(!caught_up.is_complete());
}

/// Nothing tells that this is all; but what there is, is handled.
#[tokio::test]
async fn a_second_that_is_all_that_ever_happened_is_handled_too() {
    let second = busy();
    let events: Vec<_> = (0..12).map(|n| event(&format!("evt_{n}"), second)).collect();
    let caught_up = catch_up(&["invoice.paid"], events).await;
    assert_eq!((caught_up.done, &*caught_up.overfull), (12, &[second][..]), "{caught_up}");
    assert!(caught_up.unsettled.is_empty(), "{caught_up}");
}
