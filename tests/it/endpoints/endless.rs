//! Lists without an end: each comes to one, with an error that says what is wrong.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use tower_webhook::endpoints::{
    CatchUp, CatchUpError, DiddoList, EndpointApi, EndpointErrorKind as Kind, EventQuery,
};
use tower_webhook::testing::ManualClock;
use tower_webhook::{EventRouter, LruStore, Processor, WebhookLayer, casapay};
use uuid::Uuid;
use wiremock::Request;

use super::api::{Api, URL, answer, diddo, failure, options};
use super::casapay_events::{at, event};
use crate::stage::within_a_minute;
use crate::support::{NOW, secrets};

/// A receiver whose clock stands at `NOW`.
fn processor() -> Processor<EventRouter, LruStore> {
    let router = EventRouter::new().on_type("invoice.paid", async |_: Value| ());
    let layer = WebhookLayer::new(casapay::provider(), secrets()).unwrap();
    layer
        .with_clock(ManualClock::at_unix(NOW))
        .with_store(LruStore::new(100))
        .with_dispatch(router)
        .processor()
}

fn number(request: &Request, name: &str) -> Option<u64> {
    let found = request.url.query_pairs().find(|(parameter, _)| parameter == name);
    found.map(|(_, value)| value.parse().unwrap())
}

/// Oldest and newest second that are asked for.
fn window(request: &Request) -> (u64, u64) {
    (number(request, "created[gte]").unwrap_or(0), number(request, "created[lte]").unwrap_or(u64::MAX))
}

#[tokio::test]
async fn nothing_and_more_of_it_is_no_list() {
    let api = Api::always(answer(200, json!({"data": [], "has_more": true}))).await;
    let catch_up = CatchUp::new(api.casapay(), processor());
    let error = within_a_minute(catch_up.replay_missed(at(NOW - 3600))).await.unwrap_err();
    let CatchUpError::Fetch { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), Kind::Malformed);
    api.asked_once().await;
}

/// As long as seconds can be read now and then, it goes on; not if there is one after the other that cannot.
#[tokio::test]
async fn seconds_that_cannot_be_read_are_passed_but_not_for_ever() {
    let api = Api::with(|request| {
        let (from, _) = window(request);
        answer(200, json!({"data": [event("evt_1", from)], "has_more": true}))
    })
    .await;
    let catch_up = CatchUp::new(api.casapay(), processor());
    let error = within_a_minute(catch_up.replay_missed(at(NOW - 3600))).await.unwrap_err();
    let CatchUpError::Fetch { source, so_far } = &error else { panic!("{error:?}") };
    assert_eq!((source.kind(), so_far.done), (Kind::TooManyEvents, 1));
    assert_eq!(so_far.overfull.len(), 301, "and the first one, which brought something");
    assert_eq!(source.second(), so_far.overfull.last().copied(), "where to go on from");
}

/// There is nothing in them that could be missing.
#[tokio::test]
async fn seconds_full_of_what_nobody_handles_are_passed_all() {
    let api = Api::with(|request| {
        let (from, _) = window(request);
        let is_typed = request.url.query_pairs().any(|(parameter, _)| parameter == "type");
        let mut nobodys = event("evt_1", from);
        nobodys["type"] = "charge.failed".into();
        let events = if is_typed { vec![] } else { vec![nobodys] };
        answer(200, json!({"data": events, "has_more": !is_typed}))
    })
    .await;
    let catch_up = CatchUp::new(api.casapay(), processor());
    let caught_up = within_a_minute(catch_up.replay_missed(at(NOW - 10))).await.unwrap();
    assert!(caught_up.is_complete() && caught_up.done == 0 && caught_up.unhandled == 311, "{caught_up}");
    let mut typed = api.asked().await;
    typed.retain(|asked| asked.query[0].0 == "type");
    assert_eq!(typed.len(), 311, "one for each second");
}

/// Past seconds are many, but they end; future ones do not.
#[tokio::test]
async fn nothing_is_asked_for_that_has_not_happened_yet() {
    let api = Api::with(|request| {
        let (from, _) = window(request);
        answer(200, json!({"data": [event("evt_1", from)], "has_more": true}))
    })
    .await;
    let catch_up = CatchUp::new(api.casapay(), processor());
    // A clock may be as far ahead as signatures may.
    let caught_up = within_a_minute(catch_up.replay_missed(at(NOW + 290))).await.unwrap();
    assert_eq!(caught_up.overfull, (NOW + 290..=NOW + 300).collect::<Vec<_>>());
    let asked = api.asked().await.len();
    assert!(within_a_minute(catch_up.replay_missed(at(NOW + 301))).await.unwrap().is_complete());
    assert_eq!(api.asked().await.len(), asked, "nothing");
}

#[tokio::test]
async fn the_last_second_that_a_number_can_name_is_not_divided() {
    let api = Api::with(|request| {
        let (_, until) = window(request);
        let last = [event("evt_1", u64::MAX), event("evt_2", u64::MAX)];
        answer(200, json!({"data": if until == u64::MAX { &last[..] } else { &[] }}))
    })
    .await;
    let all = api.casapay().events(EventQuery::new().with_limit(2)).try_collect::<Vec<_>>();
    let error = failure(within_a_minute(all).await);
    assert_eq!((error.kind(), error.second()), (Kind::TooManyEvents, Some(u64::MAX)));
}

/// What `SystemTime` cannot say.
#[tokio::test]
async fn a_second_beyond_all_clocks_is_survived() {
    const BEYOND: u64 = 1 << 63;
    let api = Api::with(|request| {
        let (from, until) = window(request);
        let events: Vec<_> = (0..100).map(|n| event(&format!("evt_{n}"), BEYOND)).collect();
        answer(200, json!({"data": if (from..=until).contains(&BEYOND) { &events[..] } else { &[] }}))
    })
    .await;
    let caught_up = CatchUp::new(api.casapay(), processor()).replay_missed(at(NOW - 3600)).await.unwrap();
    assert_eq!((caught_up.fetched, caught_up.is_complete()), (0, true));
    let error = failure(api.casapay().events(EventQuery::new()).try_collect::<Vec<_>>().await);
    assert_eq!(error.second(), Some(BEYOND));
}

fn endpoint(number: u64) -> Value {
    json!({"id": Uuid::from_u128(number.into()), "url": URL, "events": ["order.submitted"], "active": true})
}

/// Pages of two endpoints each, whose numbers depend on how many pages came before.
async fn pages(of: impl Fn(u64) -> [u64; 2] + Send + Sync + 'static, pause: Duration) -> Api {
    let count = AtomicU64::new(0);
    Api::with(move |_| {
        let page = of(count.fetch_add(1, Ordering::SeqCst)).map(endpoint);
        answer(200, json!({"data": page})).set_delay(pause)
    })
    .await
}

#[tokio::test]
async fn endpoints_in_a_circle_are_found_out() {
    let api = pages(|page| if page % 2 == 0 { [1, 2] } else { [2, 1] }, Duration::ZERO).await;
    let all = api.diddo().list(DiddoList::new()).try_collect::<Vec<_>>();
    let error = failure(within_a_minute(all).await);
    assert_eq!(error.kind(), Kind::IncompleteList);
    assert!(error.to_string().contains("changing"), "{error}");
}

#[tokio::test]
async fn ever_new_endpoints_are_given_up() {
    let api = pages(|page| [page, page + 1], Duration::ZERO).await;
    let all = api.diddo().list(DiddoList::new()).try_collect::<Vec<_>>();
    let error = failure(within_a_minute(all).await);
    assert_eq!(error.kind(), Kind::IncompleteList);
    assert!(error.to_string().contains("1000 pages"), "{error}");
    assert_eq!(api.asked().await.len(), 1_000);
}

/// A lock is held for as long as a call may last: a list of many pages is one call.
#[tokio::test]
async fn all_pages_together_have_the_time_of_one_call() {
    let api = pages(|page| [page, page + 1], Duration::from_millis(20)).await;
    let client = diddo(&api.url(), options().with_deadline(Duration::from_millis(300)));
    let error = failure(within_a_minute(EndpointApi::list(&client)).await);
    assert_eq!(error.kind(), Kind::Timeout);
}
