//! CasaPay's events: every documented filter, and pages that are spans of time.

use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use tower_webhook::endpoints::{CasaPay, EndpointErrorKind as Kind, EventQuery, ListStyle};
use wiremock::{Request, ResponseTemplate};

use super::api::{Api, answer, failure};

pub(super) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(super) fn event(id: &str, created: u64) -> Value {
    json!({
        "id": id, "object": "event", "type": "invoice.paid", "created": created, "livemode": false,
        "api_version": "2025-01-15", "pending_webhooks": 1, "request": {"id": "req_1", "idempotency_key": null},
        "data": {"object": {"id": "in_1", "object": "invoice"}},
    })
}

/// In which order the API lists. Nothing is documented about that.
#[derive(Clone, Copy, Debug)]
enum Order {
    Newest,
    Oldest,
    Mixed,
}

/// Lists what is in the window, at most as many as were asked for.
fn listing(events: Vec<Value>, order: Order) -> impl Fn(&Request) -> ResponseTemplate + Send + Sync {
    move |request| {
        let number = |name: &str| {
            let pairs = request.url.query_pairs().find(|(parameter, _)| parameter == name);
            pairs.map(|(_, value)| value.parse::<u64>().unwrap())
        };
        let from = number("created[gte]").unwrap_or(0);
        let until = number("created[lte]").unwrap_or(u64::MAX);
        let created = |event: &Value| event["created"].as_u64().unwrap();
        let within = events.iter().filter(|event| (from..=until).contains(&created(event)));
        let mut found: Vec<_> = within.cloned().collect();
        match order {
            Order::Newest => found.sort_by_key(|event| std::cmp::Reverse(created(event))),
            Order::Oldest => found.sort_by_key(created),
            Order::Mixed => found.sort_by_key(|event| created(event).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        }
        let limit = usize::try_from(number("limit").unwrap()).unwrap();
        assert!((1..=100).contains(&limit), "the documented limits");
        found.truncate(limit);
        answer(200, json!({"object": "list", "data": found}))
    }
}

async fn ids(client: &CasaPay, query: EventQuery) -> Vec<String> {
    client.events(query).map_ok(|event| event.id().to_owned()).try_collect().await.unwrap()
}

#[tokio::test]
async fn every_documented_filter_is_a_parameter() {
    let queries: Vec<(EventQuery, &[(&str, &str)])> = vec![
        (EventQuery::new(), &[("limit", "100")]),
        (EventQuery::new().with_type("invoice.paid"), &[("type", "invoice.paid"), ("limit", "100")]),
        (
            EventQuery::new().with_types(["a.b", "c.d"], ListStyle::Commas),
            &[("types", "a.b,c.d"), ("limit", "100")],
        ),
        (
            EventQuery::new().with_types(["a.b", "c.d"], ListStyle::Repeated),
            &[("types", "a.b"), ("types", "c.d"), ("limit", "100")],
        ),
        (
            EventQuery::new().with_types(["a.b", "c.d"], ListStyle::Brackets),
            &[("types[]", "a.b"), ("types[]", "c.d"), ("limit", "100")],
        ),
        (EventQuery::new().created_from(at(1_000)), &[("created[gte]", "1000"), ("limit", "100")]),
        (EventQuery::new().created_until(at(2_000)), &[("created[lte]", "2000"), ("limit", "100")]),
        (EventQuery::new().with_delivery_success(false), &[("delivery_success", "false"), ("limit", "100")]),
        (EventQuery::new().with_delivery_success(true), &[("delivery_success", "true"), ("limit", "100")]),
        (EventQuery::new().with_limit(7), &[("limit", "7")]),
        (EventQuery::new().with_limit(1), &[("limit", "2")]),
        (EventQuery::new().with_limit(0), &[("limit", "2")]),
        (EventQuery::new().with_limit(101), &[("limit", "100")]),
        (
            EventQuery::new().created_from(at(5)).created_until(at(5)).with_type("x.y").with_limit(50),
            &[("type", "x.y"), ("created[gte]", "5"), ("created[lte]", "5"), ("limit", "50")],
        ),
    ];
    for (query, expected) in queries {
        let api = Api::once(200, json!([])).await;
        assert!(ids(&api.casapay(), query).await.is_empty());
        let asked = api.asked_once().await;
        assert_eq!(asked.line, "GET /v1/events");
        let mut sent: Vec<(&str, &str)> =
            asked.query.iter().map(|(name, value)| (&**name, &**value)).collect();
        let mut expected = expected.to_vec();
        sent.sort_unstable();
        expected.sort_unstable();
        assert_eq!(sent, expected);
    }
}

#[tokio::test]
async fn nothing_is_asked_before_the_stream_is_polled_nor_for_an_empty_span() {
    let api = Api::once(200, json!([])).await;
    drop(api.casapay().events(EventQuery::new()));
    let empty = EventQuery::new().created_from(at(10)).created_until(at(9));
    assert!(ids(&api.casapay(), empty).await.is_empty());
    assert!(api.asked().await.is_empty());
}

#[tokio::test]
async fn every_event_comes_once_and_oldest_first_whatever_the_order_of_answers() {
    // Two events in one second, now and then; ids that do not sort as the times do.
    let created = |n: u64| 1_000 + n * 3 - u64::from(n.is_multiple_of(7)) * 3;
    let events: Vec<Value> = (0..230).map(|n| event(&format!("evt_{}", n * 37 % 1000), created(n))).collect();
    let mut expected = events.clone();
    expected.sort_by_key(|event| (event["created"].as_u64(), event["id"].as_str().map(str::to_owned)));
    let expected: Vec<_> = expected.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    for order in [Order::Newest, Order::Oldest, Order::Mixed] {
        for limit in [3, 10, 100] {
            let api = Api::with(listing(events.clone(), order)).await;
            let query = EventQuery::new().created_from(at(900)).with_limit(limit);
            assert_eq!(ids(&api.casapay(), query).await, expected, "{order:?} {limit}");
            let first = &api.asked().await[0];
            assert_eq!(first.query[0], ("created[gte]".to_owned(), "900".to_owned()));
        }
    }
}

/// A page that is exactly full may be all, or not.
#[tokio::test]
async fn a_full_page_is_not_taken_for_the_last_one() {
    for (count, order) in [(2, Order::Newest), (2, Order::Oldest), (4, Order::Mixed)] {
        let events: Vec<_> = (0..count).map(|n| event(&format!("evt_{n}"), 1_000 + n)).collect();
        let api = Api::with(listing(events, order)).await;
        let found = ids(&api.casapay(), EventQuery::new().with_limit(u32::try_from(count).unwrap())).await;
        assert_eq!(u64::try_from(found.len()).unwrap(), count);
        assert!(api.asked().await.len() > 1);
    }
}

#[tokio::test]
async fn two_events_in_one_second_come_both() {
    for order in [Order::Newest, Order::Oldest, Order::Mixed] {
        let events = vec![event("a", 1_000), event("b", 1_000), event("c", 1_001), event("d", 1_001)];
        let api = Api::with(listing(events, order)).await;
        assert_eq!(ids(&api.casapay(), EventQuery::new().with_limit(3)).await, ["a", "b", "c", "d"]);
    }
}

#[tokio::test]
async fn more_events_in_a_second_than_an_answer_holds_are_an_error_and_no_gap() {
    for order in [Order::Newest, Order::Oldest, Order::Mixed] {
        let mut events = vec![event("a", 900), event("z", 1_100)];
        events.extend((0..3).map(|n| event(&format!("b{n}"), 1_000)));
        let api = Api::with(listing(events, order)).await;
        let mut stream = api.casapay().events(EventQuery::new().with_limit(3));
        assert_eq!(stream.try_next().await.unwrap().unwrap().id(), "a", "{order:?}");
        for _ in 0..3 {
            // As many as there are in one answer.
            assert!(stream.try_next().await.unwrap().unwrap().id().starts_with('b'), "{order:?}");
        }
        let error = failure(stream.try_next().await);
        assert_eq!(error.kind(), Kind::TooManyEvents, "{order:?}");
        assert!(error.to_string().contains("one type at a time"), "{error}");
        assert!(stream.try_next().await.unwrap().is_none(), "it ends with its first error");
    }
}

/// A shorter page may still not be the last one, where the API says so.
#[tokio::test]
async fn a_page_that_says_that_there_is_more_is_divided() {
    let api = Api::in_turn([
        answer(200, json!({"data": [event("b", 1_005)], "has_more": true})),
        answer(200, json!({"data": [event("a", 1_000)], "has_more": false})),
        answer(200, json!({"data": [event("b", 1_005)], "has_more": false})),
    ])
    .await;
    let query = EventQuery::new().created_from(at(1_000)).created_until(at(1_005));
    let found = ids(&api.casapay(), query).await;
    assert_eq!(found, ["a", "b"]);
    let windows: Vec<_> = api.asked().await.into_iter().map(|asked| asked.query[..2].to_vec()).collect();
    let window = |from: &str, until: &str| {
        vec![("created[gte]".to_owned(), from.to_owned()), ("created[lte]".to_owned(), until.to_owned())]
    };
    assert_eq!(windows, [window("1000", "1005"), window("1000", "1004"), window("1005", "1005")]);
}

#[tokio::test]
async fn an_api_that_ignores_the_time_is_found_out() {
    let all: Vec<_> = (0..3).map(|n| event(&format!("evt_{n}"), 1_000 + n)).collect();
    let api = Api::always(answer(200, json!(all))).await;
    let error = failure(api.casapay().events(EventQuery::new().with_limit(3)).try_collect::<Vec<_>>().await);
    assert_eq!(error.kind(), Kind::Malformed);
    assert!(error.to_string().contains("outside of the time"), "{error}");
    let late = EventQuery::new().created_from(at(2_000));
    assert_eq!(failure(api.casapay().events(late).try_collect::<Vec<_>>().await).kind(), Kind::Malformed);
}

/// It is listed all the same: whoever processes it can put it aside.
#[tokio::test]
async fn an_event_without_id_type_or_time_is_listed_as_it_came() {
    let (id, event_type, created) = (json!("evt_1"), json!("invoice.paid"), json!(1_000));
    for member in ["id", "type", "created"] {
        for odd in [Value::Null, json!({"a": [1]}), json!(-1.5)] {
            let mut broken = json!({"id": id, "type": event_type, "created": created});
            broken[member] = odd;
            let api = Api::once(200, json!([event("evt_0", 999), broken])).await;
            let mut all: Vec<_> = api.casapay().events(EventQuery::new()).try_collect().await.unwrap();
            all.retain(|event| event.id() != "evt_0");
            let [found] = &all[..] else { panic!("{all:?}") };
            assert_eq!(found.body(), &broken.to_string());
            assert_eq!(found.id(), if member == "id" { "" } else { "evt_1" });
            assert_eq!(found.event_type(), if member == "type" { "" } else { "invoice.paid" });
            assert_eq!(found.created(), (member != "created").then_some(1_000));
        }
    }
    for none in [json!([7]), json!(["evt_1"]), json!([null])] {
        let api = Api::once(200, none).await;
        let error = failure(api.casapay().events(EventQuery::new()).try_collect::<Vec<_>>().await);
        assert_eq!(error.kind(), Kind::Malformed, "no event at all");
    }
}

/// They count among those of a full page, whose time is known from the others.
#[tokio::test]
async fn an_event_without_a_time_does_not_keep_a_page_from_being_divided() {
    let mut odd = event("odd", 0);
    odd["created"] = Value::Null;
    let (a, b) = (event("a", 1_000), event("b", 1_005));
    let api = Api::in_turn([
        answer(200, json!([b, odd, a])),
        answer(200, json!([a])),
        answer(200, json!([b, odd])),
    ])
    .await;
    assert_eq!(ids(&api.casapay(), EventQuery::new().with_limit(3)).await, ["a", "odd", "b"]);
    let api = Api::always(answer(200, json!([odd, odd]))).await;
    let error = failure(api.casapay().events(EventQuery::new().with_limit(2)).try_collect::<Vec<_>>().await);
    assert_eq!(error.kind(), Kind::Malformed, "nothing says where they are");
}

/// As `listing`, and never more than `most`; nor does it say whether there are more.
fn capped(events: Vec<Value>, most: usize) -> impl Fn(&Request) -> ResponseTemplate + Send + Sync {
    move |request| {
        let mut url = request.url.clone();
        let pairs: Vec<_> = request.url.query_pairs().into_owned().collect();
        let limit = |(name, value): &(String, String)| match &**name {
            "limit" => (name.clone(), value.parse::<usize>().unwrap().min(most).to_string()),
            _ => (name.clone(), value.clone()),
        };
        url.query_pairs_mut().clear().extend_pairs(pairs.iter().map(limit));
        let request = Request { url, ..request.clone() };
        listing(events.clone(), Order::Newest)(&request)
    }
}

/// A page that is shorter than was asked for need not be the end.
#[tokio::test]
async fn an_api_whose_pages_are_shorter_than_was_asked_for_hides_nothing() {
    for count in [12, 19, 20, 21, 40, 99, 100, 130] {
        for most in [10, 20] {
            let events: Vec<_> = (0..count).map(|n| event(&format!("evt_{n:03}"), 1_000 + n)).collect();
            let api = Api::with(capped(events, most)).await;
            let query = EventQuery::new().created_from(at(1_000));
            let found = ids(&api.casapay(), query).await;
            assert_eq!(found.len(), usize::try_from(count).unwrap(), "{count} by {most}");
        }
    }
}

/// What cannot be known to be all is not called so.
#[tokio::test]
async fn one_second_as_long_as_the_longest_page_is_an_error() {
    let of_one_second: Vec<_> = (0..30).map(|n| event(&format!("evt_{n:03}"), 1_000)).collect();
    let api = Api::with(capped(of_one_second.clone(), 20)).await;
    let error = failure(api.casapay().events(EventQuery::new()).try_collect::<Vec<_>>().await);
    assert_eq!((error.kind(), error.second()), (Kind::TooManyEvents, Some(1_000)));
}

/// Once a longer page has come, a shorter one is the end; which takes one call to find out.
#[tokio::test]
async fn one_second_shorter_than_a_page_can_be_is_whole() {
    let mut events: Vec<_> = (0..30).map(|n| event(&format!("evt_{n:03}"), 1_000)).collect();
    events.push(event("later", 2_000));
    let api = Api::with(capped(events, 100)).await;
    let client = api.casapay();
    for calls in [2, 3] {
        assert_eq!(ids(&client, EventQuery::new().created_until(at(1_500))).await.len(), 30);
        assert_eq!(api.asked().await.len(), calls);
    }
    assert_eq!(api.asked().await[1].query, [("limit".to_owned(), "100".to_owned())]);
}
