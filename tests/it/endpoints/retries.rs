//! When a call is tried again: pauses that the API asks for, and a deletion that was done by an attempt before.

use std::time::{Duration, SystemTime};

use serde_json::json;
use tower_webhook::endpoints::EndpointErrorKind as Kind;
use wiremock::ResponseTemplate;

use super::api::{Api, answer, casapay, casapay_endpoint, diddo_endpoint, failure, options};
use super::calls::{CALLS, creates, make};
use super::raw::{Raw, Step};
use crate::stage::within_a_minute;

fn too_many(retry_after: &str) -> ResponseTemplate {
    ResponseTemplate::new(429).insert_header("retry-after", retry_after)
}

/// A second pause than the default one would not fit into the deadline: what the API asks for is what is waited.
#[tokio::test]
async fn what_the_api_asks_for_takes_the_place_of_the_pause() {
    let past = httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(60));
    for asked_for in ["0", &past] {
        for status in [429, 503] {
            let busy = ResponseTemplate::new(status).insert_header("retry-after", asked_for);
            let api = Api::in_turn([busy, answer(200, casapay_endpoint("we_1"))]).await;
            let patient = options().with_first_pause(Duration::from_secs(3600));
            casapay(&api.url(), patient).retrieve("we_1").await.unwrap();
            assert_eq!(api.asked().await.len(), 2, "{asked_for} {status}");
        }
    }
}

#[tokio::test]
async fn without_a_legible_retry_after_the_pause_is_ours() {
    for unclear in ["soon", "-1", "1.5", ""] {
        let api = Api::in_turn([too_many(unclear), answer(200, casapay_endpoint("we_1"))]).await;
        api.casapay().retrieve("we_1").await.unwrap();
        assert_eq!(api.asked().await.len(), 2, "{unclear}");
    }
}

#[tokio::test]
async fn a_pause_beyond_the_deadline_is_the_callers_to_wait() {
    let future = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
    let ages = "99999999999999999999999";
    for (asked_for, seconds) in [("3600", 3600), (&*future, 3590), (ages, u64::MAX)] {
        let api = Api::always(too_many(asked_for)).await;
        let error = failure(within_a_minute(api.casapay().list()).await);
        assert_eq!(error.kind(), Kind::RateLimited, "{asked_for}");
        assert!(error.retry_after().unwrap() >= Duration::from_secs(seconds), "{error:?}");
        api.asked_once().await;
    }
}

#[tokio::test]
async fn a_limit_that_stays_is_an_error_after_the_attempts_that_are_allowed() {
    for attempts in [0, 1, 4] {
        let api = Api::always(too_many("0")).await;
        let error = failure(casapay(&api.url(), options().with_attempts(attempts)).list().await);
        assert_eq!((error.kind(), error.retry_after()), (Kind::RateLimited, Some(Duration::ZERO)));
        assert_eq!(api.asked().await.len(), attempts.max(1) as usize);
    }
}

/// It was not done, and so is no unknown outcome; but whether to ask again is the caller's to say.
#[tokio::test]
async fn a_creation_is_not_repeated_even_where_it_was_turned_away() {
    for call in CALLS.iter().filter(|call| creates(call)) {
        let api = Api::always(too_many("0")).await;
        let error = make(call, &api.url(), options()).await;
        assert_eq!((error.kind(), error.may_have_created()), (Kind::RateLimited, false), "{call}");
        api.asked_once().await;
    }
}

#[tokio::test]
async fn calls_succeed_when_the_api_comes_back() {
    let api = Api::in_turn([
        ResponseTemplate::new(500),
        ResponseTemplate::new(503),
        answer(200, diddo_endpoint(super::api::UUID)),
    ])
    .await;
    api.diddo().retrieve(super::api::UUID.parse().unwrap()).await.unwrap();
    assert_eq!(api.asked().await.len(), 3);
}

#[tokio::test]
async fn a_deletion_whose_answer_was_lost_has_happened() {
    let lost = [Step::Close, Step::json(404, "{}")];
    let api = Raw::in_turn(lost).await;
    casapay(&api.url(), options()).delete("we_1").await.unwrap();
    assert_eq!(api.asked(), ["DELETE /v1/webhook_endpoints/we_1"; 2]);

    let failed = Api::in_turn([ResponseTemplate::new(502), answer(404, json!({}))]).await;
    failed.diddo().delete(super::api::UUID.parse().unwrap()).await.unwrap();
    assert_eq!(failed.asked().await.len(), 2);
}

/// Only of a deletion, and only of one that was sent before.
#[tokio::test]
async fn what_is_not_there_is_otherwise_an_error() {
    let api = Api::once(404, json!({})).await;
    assert_eq!(failure(api.casapay().delete("we_1").await).kind(), Kind::NotFound);
    let api = Api::in_turn([ResponseTemplate::new(502), answer(404, json!({}))]).await;
    assert_eq!(failure(api.casapay().retrieve("we_1").await).kind(), Kind::NotFound);
}
