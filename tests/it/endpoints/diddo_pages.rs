//! Diddo's list over all pages, also while it changes.

use std::sync::{Arc, Mutex};

use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use tower_webhook::endpoints::{Change, DiddoList, EndpointErrorKind as Kind, EndpointManager};
use uuid::Uuid;
use wiremock::{Request, ResponseTemplate};

use super::api::{Api, URL, answer, failure};
use super::memory::{Memory, Vault};
use crate::stage::within_a_minute;

fn endpoint(number: u128) -> Value {
    json!({"id": Uuid::from_u128(number), "url": URL, "events": ["order.submitted"], "active": true})
}

fn number(endpoint: &Value) -> u128 {
    endpoint["id"].as_str().unwrap().parse::<Uuid>().unwrap().as_u128()
}

/// The endpoints of an account, which `between` may change after each page.
async fn account(
    count: u128,
    between: impl Fn(&mut Vec<Value>, usize) + Send + Sync + 'static,
) -> (Api, Arc<Mutex<Vec<Value>>>) {
    capped(count, 100, between).await
}

/// The same where a page never holds more than `most`, whatever is asked for.
async fn capped(
    count: u128,
    most: usize,
    between: impl Fn(&mut Vec<Value>, usize) + Send + Sync + 'static,
) -> (Api, Arc<Mutex<Vec<Value>>>) {
    let endpoints = Arc::new(Mutex::new((1..=count).map(endpoint).collect::<Vec<_>>()));
    let (shared, pages) = (Arc::clone(&endpoints), Mutex::new(0));
    let api = Api::with(move |request: &Request| -> ResponseTemplate {
        let parameter = |name: &str| {
            let found = request.url.query_pairs().find(|(parameter, _)| parameter == name);
            found.map(|(_, value)| value.parse::<usize>().unwrap())
        };
        let (limit, offset) = (parameter("limit").unwrap_or(20), parameter("offset").unwrap_or(0));
        assert!(limit <= 100, "the documented limit");
        let mut endpoints = shared.lock().unwrap();
        let page: Vec<_> = endpoints.iter().skip(offset).take(limit.min(most)).cloned().collect();
        let mut pages = pages.lock().unwrap();
        *pages += 1;
        between(&mut endpoints, *pages);
        answer(200, json!({"webhooks": page, "limit": limit, "offset": offset}))
    })
    .await;
    (api, endpoints)
}

async fn listed(api: &Api, list: DiddoList) -> Vec<u128> {
    api.diddo().list(list).map_ok(|endpoint| endpoint.id.as_u128()).try_collect().await.unwrap()
}

#[tokio::test]
async fn every_endpoint_comes_once_from_pages_of_any_size() {
    for count in [0, 1, 2, 3, 5, 20, 99, 100, 101, 250] {
        for limit in [2, 3, 20, 100] {
            let (api, _) = account(count, |_, _| {}).await;
            let list = DiddoList::new().with_limit(limit);
            assert_eq!(listed(&api, list).await, (1..=count).collect::<Vec<_>>(), "{count} by {limit}");
        }
    }
}

#[tokio::test]
async fn pages_are_as_large_as_they_may_be_and_keep_the_filters() {
    let (api, _) = account(150, |_, _| {}).await;
    let list = DiddoList::new().with_active(false).with_event("order.submitted");
    assert_eq!(listed(&api, list).await.len(), 150);
    let mut offsets = Vec::new();
    for asked in api.asked().await {
        assert_eq!(asked.line, "GET /webhook");
        let mut query = asked.query;
        offsets.push(query.pop().unwrap());
        let expected = [("is_on", "false"), ("about", "order.submitted"), ("limit", "100")];
        assert_eq!(query, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    assert_eq!(offsets[0], ("offset".to_owned(), "0".to_owned()));
    assert!(offsets.len() >= 2);
}

#[tokio::test]
async fn limits_beyond_what_is_documented_are_not_sent() {
    for (limit, sent) in [(0, "2"), (1, "2"), (100, "100"), (1_000, "100")] {
        let (api, _) = account(1, |_, _| {}).await;
        listed(&api, DiddoList::new().with_limit(limit)).await;
        let query = api.asked_once().await.query;
        let sent = ("limit".to_owned(), sent.to_owned());
        assert!(query.contains(&sent), "{query:?}");
    }
}

/// Everything behind it moves up by one, over the edge of the page.
#[tokio::test]
async fn an_endpoint_that_is_deleted_between_two_pages_hides_no_other() {
    for deleted in 0..6 {
        let (api, left) = account(6, move |endpoints, page| {
            if page == 1 {
                endpoints.remove(deleted);
            }
        })
        .await;
        let found = listed(&api, DiddoList::new().with_limit(3)).await;
        for endpoint in left.lock().unwrap().iter() {
            let times = found.iter().filter(|&&one| one == number(endpoint)).count();
            assert_eq!(times, 1, "{deleted}: {endpoint} in {found:?}");
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_comes_first_moves_the_others_and_none_is_doubled() {
    let (api, _) = account(6, |endpoints, page| {
        if page == 1 {
            endpoints.insert(0, endpoint(100));
        }
    })
    .await;
    let mut found = listed(&api, DiddoList::new().with_limit(3)).await;
    found.sort_unstable();
    assert_eq!(found, [1, 2, 3, 4, 5, 6, 100]);
}

#[tokio::test]
async fn a_list_that_does_not_stop_changing_is_given_up() {
    let (api, _) = account(40, |endpoints, _| drop(endpoints.remove(0))).await;
    let list = DiddoList::new().with_limit(3);
    let error = failure(api.diddo().list(list).try_collect::<Vec<_>>().await);
    assert_eq!(error.kind(), Kind::IncompleteList);
    assert!(error.to_string().contains("changing"), "{error}");
}

/// The same first page for ever.
#[tokio::test]
async fn an_api_that_ignores_the_offset_is_found_out() {
    let page: Vec<_> = (1..=3).map(endpoint).collect();
    let api = Api::always(answer(200, json!(page))).await;
    let list = DiddoList::new().with_limit(3);
    let error = failure(within_a_minute(api.diddo().list(list).try_collect::<Vec<_>>()).await);
    assert_eq!(error.kind(), Kind::IncompleteList);
}

#[tokio::test]
async fn a_short_page_that_says_that_there_is_more_is_not_the_last() {
    let page = |numbers: &[u128], has_more: bool| {
        let data: Vec<_> = numbers.iter().copied().map(endpoint).collect();
        answer(200, json!({"data": data, "has_more": has_more}))
    };
    let api = Api::in_turn([page(&[1, 2], true), page(&[2, 3], true), page(&[3], false)]).await;
    assert_eq!(listed(&api, DiddoList::new()).await, [1, 2, 3]);
    let offsets: Vec<_> = api.asked().await.iter().map(|asked| asked.query[1].1.clone()).collect();
    assert_eq!(offsets, ["0", "1", "2"]);
}

#[tokio::test]
async fn nothing_is_asked_before_the_stream_is_polled() {
    let (api, _) = account(1, |_, _| {}).await;
    drop(api.diddo().list(DiddoList::new()));
    assert!(api.asked().await.is_empty());
}

/// A page that is shorter than was asked for need not be the last.
#[tokio::test]
async fn an_api_whose_pages_are_shorter_than_was_asked_for_hides_nothing() {
    for count in [19, 20, 21, 39, 40, 100, 101] {
        for most in [2, 3, 20] {
            let (api, _) = capped(count, most, |_, _| {}).await;
            assert_eq!(
                listed(&api, DiddoList::new()).await,
                (1..=count).collect::<Vec<_>>(),
                "{count} {most}"
            );
        }
    }
}

/// An endpoint that is overlooked would be created anew at each start.
#[tokio::test]
async fn an_endpoint_on_a_later_page_is_found_at_each_start() {
    let of_another_url = |number| {
        let mut endpoint = endpoint(number);
        endpoint["url"] = format!("{URL}/{number}").into();
        endpoint
    };
    let (api, endpoints) = capped(30, 20, |_, _| {}).await;
    let vault = Vault::beside(&Memory::new());
    *endpoints.lock().unwrap() = (1..=29).map(of_another_url).chain([endpoint(30)]).collect();
    vault.put(&Uuid::from_u128(30).to_string());
    let manager = EndpointManager::new(api.diddo(), vault);
    for _ in 0..2 {
        let ensured = manager.ensure_endpoint(URL, ["order.submitted"]).await.unwrap();
        assert_eq!(ensured.change, Change::Unchanged);
    }
    assert!(api.asked().await.iter().all(|asked| asked.line.starts_with("GET ")));
}

#[tokio::test]
async fn an_endpoint_that_is_listed_twice_is_one() {
    let (page, rest) = (json!([endpoint(1), endpoint(1)]), json!([endpoint(1)]));
    let api = Api::in_turn([answer(200, page), answer(200, rest)]).await;
    assert_eq!(listed(&api, DiddoList::new()).await, [1]);
}

/// The last endpoint of all comes once more, and nothing after it.
#[tokio::test]
async fn a_list_is_read_as_often_as_it_takes_to_know_its_end() {
    for (count, pages) in [(0, 1), (1, 1), (2, 2), (100, 2), (101, 3)] {
        let (api, _) = account(count, |_, _| {}).await;
        assert_eq!(listed(&api, DiddoList::new()).await.len(), usize::try_from(count).unwrap());
        assert_eq!(api.asked().await.len(), pages, "{count}");
    }
    // An API that says so is believed, in whatever order it lists.
    let page = json!({"data": [endpoint(2), endpoint(1)], "has_more": false});
    let api = Api::in_turn([answer(200, page)]).await;
    assert_eq!(listed(&api, DiddoList::new()).await, [2, 1]);
    assert_eq!(api.asked().await.len(), 1);
}

#[tokio::test]
async fn a_page_that_has_nothing_and_says_that_there_is_more_is_no_end() {
    let page = |numbers: &[u128]| {
        let data: Vec<_> = numbers.iter().copied().map(endpoint).collect();
        answer(200, json!({"data": data, "has_more": true}))
    };
    for pages in [vec![page(&[])], vec![page(&[1]), page(&[1])], vec![page(&[1, 2]), page(&[2])]] {
        let api = Api::in_turn(pages).await;
        let error = failure(api.diddo().list(DiddoList::new()).try_collect::<Vec<_>>().await);
        assert_eq!(error.kind(), Kind::IncompleteList);
    }
}
