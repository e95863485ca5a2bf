//! Every documented call of CasaPay's endpoint API: what goes out, and what an answer becomes.

use serde_json::{Value, json};
use tower_webhook::endpoints::{EndpointApi, EndpointErrorKind, EndpointStatus, EndpointUpdate, NewEndpoint};

use super::api::{
    Api, Asked, KEY, URL, WHSEC, answer, casapay, casapay_created, casapay_endpoint, failure, key, options,
};

#[expect(clippy::needless_pass_by_value, reason = "bodies are written where they are compared")]
fn assert_request(asked: &Asked, line: &str, body: Value) {
    assert_eq!((&*asked.line, &asked.body), (line, &body));
    assert_eq!(asked.query, []);
    assert_eq!(asked.header("authorization"), Some(&*format!("Bearer {KEY}")));
    assert_eq!(asked.header("accept"), Some("application/json"));
    assert_eq!(asked.header("content-type"), (!body.is_null()).then_some("application/json"));
}

#[tokio::test]
async fn creates_with_all_members_and_keeps_the_secret() {
    for status in [200, 201] {
        let api = Api::once(status, casapay_created("we_1")).await;
        let new = NewEndpoint::new(URL, ["invoice.paid", "charge.failed"])
            .with_description("shop")
            .with_api_version("2025-01-15")
            .with_metadata("team", "payments");
        let (endpoint, secret) = api.casapay().create(&new).await.unwrap();
        let body = json!({
            "url": URL, "enabled_events": ["invoice.paid", "charge.failed"], "description": "shop",
            "api_version": "2025-01-15", "metadata": {"team": "payments"},
        });
        assert_request(&api.asked_once().await, "POST /v1/webhook_endpoints", body);
        assert_eq!(secret.expose(), WHSEC);
        assert_eq!((&*endpoint.id, &*endpoint.url), ("we_1", URL));
        assert_eq!(endpoint.enabled_events, ["invoice.paid", "charge.failed"]);
        assert_eq!(endpoint.status, EndpointStatus::Enabled);
        assert_eq!(endpoint.api_version.as_deref(), Some("2025-01-15"));
        assert_eq!(endpoint.description.as_deref(), Some("shop"));
        assert_eq!(endpoint.metadata["team"], "payments");
        assert_eq!(endpoint.created, Some(1_736_899_200));
    }
}

#[tokio::test]
async fn creates_with_what_is_required_alone() {
    let api = Api::once(200, casapay_created("we_1")).await;
    api.casapay().create(&NewEndpoint::new(URL, ["invoice.paid"])).await.unwrap();
    let body = json!({"url": URL, "enabled_events": ["invoice.paid"]});
    assert_request(&api.asked_once().await, "POST /v1/webhook_endpoints", body);
}

#[tokio::test]
async fn retrieves() {
    let mut object = casapay_endpoint("we_1");
    object["status"] = "disabled".into();
    let api = Api::once(200, object).await;
    let endpoint = api.casapay().retrieve("we_1").await.unwrap();
    assert_request(&api.asked_once().await, "GET /v1/webhook_endpoints/we_1", Value::Null);
    assert_eq!((&*endpoint.id, endpoint.status), ("we_1", EndpointStatus::Disabled));
}

#[tokio::test]
async fn an_endpoint_may_have_no_more_than_is_needed_and_more_than_is_known() {
    let least = json!({"id": "we_1", "url": URL, "enabled_events": [], "status": "enabled"});
    let mut nulls = least.clone();
    for member in ["api_version", "description", "metadata", "created"] {
        nulls[member] = Value::Null;
    }
    let mut more = casapay_endpoint("we_1");
    more["status"] = "on_hold".into();
    more["metadata"] = json!({"count": 7});
    more["invented"] = json!([1]);
    let api = Api::in_turn([least, nulls, more].map(|object| answer(200, object))).await;
    let client = api.casapay();
    let least = client.retrieve("we_1").await.unwrap();
    assert_eq!((least.created, least.metadata.len()), (None, 0));
    assert_eq!(client.retrieve("we_1").await.unwrap(), least);
    let more = client.retrieve("we_1").await.unwrap();
    assert_eq!(more.status, EndpointStatus::Other("on_hold".to_owned()));
    assert_eq!(more.metadata["count"], "7");
}

#[tokio::test]
async fn updates_what_is_named_and_nothing_else() {
    let all = EndpointUpdate::new()
        .with_url("https://shop.example/other")
        .with_enabled_events(["charge.refunded"])
        .with_status(EndpointStatus::Disabled)
        .with_description("other");
    let all_sent = json!({
        "url": "https://shop.example/other", "enabled_events": ["charge.refunded"], "status": "disabled",
        "description": "other",
    });
    let enable = EndpointUpdate::new().with_status(EndpointStatus::Enabled);
    for (update, body) in [(all, all_sent), (enable, json!({"status": "enabled"}))] {
        let api = Api::once(200, casapay_endpoint("we_7")).await;
        assert_eq!(api.casapay().update("we_7", &update).await.unwrap().id, "we_7");
        assert_request(&api.asked_once().await, "POST /v1/webhook_endpoints/we_7", body);
    }
}

#[tokio::test]
async fn deletes_whatever_a_success_says() {
    let gone = json!({"id": "we_1", "deleted": true});
    let empty = wiremock::ResponseTemplate::new(204);
    let html = wiremock::ResponseTemplate::new(200).set_body_string("<html>");
    for success in [answer(200, gone), empty, html] {
        let api = Api::in_turn([success]).await;
        api.casapay().delete("we_1").await.unwrap();
        assert_request(&api.asked_once().await, "DELETE /v1/webhook_endpoints/we_1", Value::Null);
    }
}

#[tokio::test]
async fn lists() {
    let list = json!({"object": "list", "data": [casapay_endpoint("we_1"), casapay_endpoint("we_2")]});
    let api = Api::once(200, list).await;
    let endpoints = api.casapay().list().await.unwrap();
    assert_eq!(endpoints.iter().map(|one| &*one.id).collect::<Vec<_>>(), ["we_1", "we_2"]);
    assert_request(&api.asked_once().await, "GET /v1/webhook_endpoints", Value::Null);
}

#[tokio::test]
async fn retrieves_an_event_with_its_body_as_it_was_written() {
    let text =
        "{\"id\":\"evt_1\", \"type\":\"invoice.paid\",\n \"created\":1736899200, \"data\":{\"object\":{}}}";
    let api = Api::in_turn([wiremock::ResponseTemplate::new(200).set_body_string(text)]).await;
    let event = api.casapay().retrieve_event("evt_1").await.unwrap();
    assert_request(&api.asked_once().await, "GET /v1/events/evt_1", Value::Null);
    assert_eq!(
        (event.id(), event.event_type(), event.created()),
        ("evt_1", "invoice.paid", Some(1_736_899_200))
    );
    assert_eq!(event.body(), text);
    assert!(!format!("{event:?}").contains("object"), "{event:?}");
}

#[tokio::test]
async fn a_base_url_may_have_a_path() {
    for slash in ["", "/"] {
        let api = Api::once(200, casapay_endpoint("we_1")).await;
        let client = casapay(&format!("{}/sandbox{slash}", api.url()), options());
        client.retrieve("we_1").await.unwrap();
        assert_eq!(api.asked_once().await.line, "GET /sandbox/v1/webhook_endpoints/we_1");
    }
}

#[test]
fn a_key_tells_its_mode() {
    use tower_webhook::Secret;
    use tower_webhook::endpoints::{CasaPay, ClientOptions};

    let with = |key| CasaPay::new("https://api.example", key, ClientOptions::default());
    assert!(!with(key()).unwrap().livemode());
    assert!(with(Secret::new("sk_live_0123456789abcdef").unwrap()).unwrap().livemode());
    let error = failure(with(Secret::new(WHSEC).unwrap()));
    assert_eq!(error.kind(), EndpointErrorKind::InvalidRequest);
}

/// What another endpoint has become says nothing about the one that was to change.
#[tokio::test]
async fn an_answer_about_another_one_is_not_taken() {
    let api = Api::always(answer(200, casapay_endpoint("we_1"))).await;
    let client = api.casapay();
    for error in [
        failure(client.update("we_2", &EndpointUpdate::new().with_status(EndpointStatus::Disabled)).await),
        failure(client.retrieve("we_2").await),
    ] {
        assert_eq!(error.kind(), EndpointErrorKind::Malformed);
        assert!(error.to_string().contains("another id"), "{error}");
    }
    let api = Api::once(200, super::casapay_events::event("evt_1", 1_000)).await;
    assert_eq!(failure(api.casapay().retrieve_event("evt_2").await).kind(), EndpointErrorKind::Malformed);
}

#[tokio::test]
async fn an_endpoint_that_is_listed_twice_is_one() {
    let (mut changed, first) = (casapay_endpoint("we_1"), casapay_endpoint("we_1"));
    changed["description"] = "later".into();
    let api = Api::always(answer(200, json!([first, casapay_endpoint("we_2"), changed]))).await;
    let endpoints = api.casapay().list().await.unwrap();
    assert_eq!(endpoints.iter().map(|one| &*one.id).collect::<Vec<_>>(), ["we_1", "we_2"]);
    assert_eq!(endpoints[0].description.as_deref(), Some("shop"), "the first of them");
}

/// It may deliver: nothing that is not known to be paused counts as paused.
#[tokio::test]
async fn an_endpoint_of_an_unknown_status_is_active() {
    for (status, active) in [("enabled", true), ("disabled", false), ("on_hold", true)] {
        let mut endpoint = casapay_endpoint("we_1");
        endpoint["status"] = status.into();
        let api = Api::once(200, json!([endpoint])).await;
        let listed = EndpointApi::list(&api.casapay()).await.unwrap();
        assert_eq!(listed[0].is_active(), active, "{status}");
    }
}
