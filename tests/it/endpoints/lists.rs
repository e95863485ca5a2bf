//! Lists of endpoints, whose form is documented nowhere: what is understood, and what is no list.

use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use tower_webhook::endpoints::{DiddoList, EndpointErrorKind as Kind};
use wiremock::ResponseTemplate;

use super::api::{Api, UUID, answer, casapay_endpoint, diddo_endpoint, failure};

#[tokio::test]
async fn a_list_is_the_answer_or_the_only_list_in_it() {
    let item = casapay_endpoint("we_1");
    for list in [
        json!([item]),
        json!({"object": "list", "data": [item]}),
        json!({"webhook_endpoints": [item], "has_more": false, "total": 1}),
        json!({"data": [item], "meta": {"pages": [1, 2]}}),
    ] {
        let endpoints = Api::once(200, list.clone()).await.casapay().list().await.unwrap();
        assert_eq!(endpoints.len(), 1, "{list}");
    }
    for list in [json!([]), json!({"data": []})] {
        assert!(Api::once(200, list).await.casapay().list().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_may_be_a_list_is_not_guessed_at() {
    let (we, di) = (casapay_endpoint("we_1"), diddo_endpoint(UUID));
    let mut broken = we.clone();
    broken["url"] = Value::Null;
    for list in [
        json!({}),
        json!({"data": {}}),
        json!({"data": [we], "errors": []}),
        json!({"data": {"items": [we]}}),
        json!(null),
        json!("[]"),
        json!([we, broken]),
        json!([we, di]),
        json!([7]),
    ] {
        let error = failure(Api::once(200, list.clone()).await.casapay().list().await);
        assert_eq!(error.kind(), Kind::Malformed, "{list}");
        let api = Api::once(200, list).await;
        let error = failure(api.diddo().list(DiddoList::new()).try_collect::<Vec<_>>().await);
        assert_eq!(error.kind(), Kind::Malformed);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_the_documented_object_is_malformed_and_not_tried_again() {
    for body in ["", "{", "<html>", "[]", "{}", "\u{feff}{}", "{\"id\":\"we_1\"}"] {
        let api = Api::always(ResponseTemplate::new(200).set_body_string(body)).await;
        for (made, error) in [
            failure(api.casapay().retrieve("we_1").await),
            failure(api.casapay().retrieve_event("evt_1").await),
            failure(api.casapay().update("we_1", &Default::default()).await),
            failure(api.diddo().retrieve(UUID.parse().unwrap()).await),
            failure(api.diddo().update(UUID.parse().unwrap(), &Default::default()).await),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(error.kind(), Kind::Malformed, "{made} {body}");
        }
        assert_eq!(api.asked().await.len(), 5);
    }
}

/// One that is overlooked would be created once more.
#[tokio::test]
async fn a_list_that_says_that_there_is_more_is_no_list() {
    let api = Api::once(200, json!({"data": [casapay_endpoint("we_1")], "has_more": true})).await;
    assert_eq!(failure(api.casapay().list().await).kind(), Kind::IncompleteList);
    api.asked_once().await;
    let api = Api::in_turn([answer(200, json!({"data": [], "has_more": true}))]).await;
    assert_eq!(failure(api.casapay().list().await).kind(), Kind::IncompleteList);
}
