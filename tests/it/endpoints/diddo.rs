//! Every documented call of Diddo's endpoint API, with what is undocumented invented.

use serde_json::{Value, json};
use tower_webhook::Secret;
use tower_webhook::endpoints::{Diddo, DiddoSettings, DiddoUpdate, EndpointErrorKind};
use uuid::Uuid;

use super::api::{
    Api, Asked, KEY, URL, UUID, WHSEC, answer, diddo_created, diddo_endpoint, failure, key, options, types,
};

fn id() -> Uuid {
    UUID.parse().unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "bodies are written where they are compared")]
fn assert_request(asked: &Asked, line: &str, body: Value) {
    assert_eq!((&*asked.line, &asked.body), (line, &body));
    assert_eq!(asked.query, []);
    assert_eq!(asked.header("x-invented-key"), Some(&*format!("Token {KEY}")));
    assert_eq!(asked.header("authorization"), None);
    assert_eq!(asked.header("content-type"), (!body.is_null()).then_some("application/json"));
}

#[tokio::test]
async fn creates_and_finds_the_secret_where_the_settings_say() {
    let api = Api::once(201, diddo_created(UUID)).await;
    let events = types(&["order.submitted", "checkout.failed"]);
    let (endpoint, secret) = api.diddo().create(URL, &events, Some("shop")).await.unwrap();
    let body = json!({"url": URL, "events": events, "description": "shop"});
    assert_request(&api.asked_once().await, "POST /webhook", body);
    assert_eq!(secret.expose(), WHSEC);
    assert_eq!((endpoint.id, &*endpoint.url, endpoint.active), (id(), URL, Some(true)));
    assert_eq!(endpoint.events, ["order.submitted"]);
    assert_eq!(endpoint.description.as_deref(), Some("shop"));
}

#[tokio::test]
async fn creates_with_what_is_required_alone() {
    let api = Api::once(201, diddo_created(UUID)).await;
    api.diddo().create(URL, &types(&["order.submitted"]), None).await.unwrap();
    let body = json!({"url": URL, "events": ["order.submitted"]});
    assert_request(&api.asked_once().await, "POST /webhook", body);
}

#[tokio::test]
async fn retrieves() {
    let mut least = diddo_endpoint(UUID);
    least.as_object_mut().unwrap().retain(|member, _| !matches!(&**member, "active" | "description"));
    let api = Api::once(200, least).await;
    let endpoint = api.diddo().retrieve(id()).await.unwrap();
    assert_request(&api.asked_once().await, &format!("GET /webhook/{UUID}"), Value::Null);
    assert_eq!((endpoint.active, endpoint.description), (None, None));
}

#[tokio::test]
async fn updates_what_is_named_and_nothing_else() {
    let all = DiddoUpdate::new()
        .with_active(false)
        .with_description("other")
        .with_events(["checkout.failed"])
        .with_url("https://shop.example/other");
    let all_sent = json!({
        "active": false, "description": "other", "events": ["checkout.failed"], "url": "https://shop.example/other",
    });
    for (update, body) in [(all, all_sent), (DiddoUpdate::new().with_active(true), json!({"active": true}))] {
        let api = Api::once(200, diddo_endpoint(UUID)).await;
        assert_eq!(api.diddo().update(id(), &update).await.unwrap().id, id());
        assert_request(&api.asked_once().await, &format!("PUT /webhook/{UUID}"), body);
    }
}

#[tokio::test]
async fn deletes() {
    let api = Api::in_turn([wiremock::ResponseTemplate::new(200)]).await;
    api.diddo().delete(id()).await.unwrap();
    assert_request(&api.asked_once().await, &format!("DELETE /webhook/{UUID}"), Value::Null);
}

#[test]
fn what_is_undocumented_has_to_be_said_legibly() {
    for (header, secret_at) in [("", "/secret"), ("x key", "/secret"), ("x-key", "secret"), ("x-key", "")] {
        let error = failure(DiddoSettings::new(header, secret_at));
        assert_eq!(error.kind(), EndpointErrorKind::InvalidRequest, "{header} {secret_at}");
    }
}

/// How the key stands in its header is anybody's guess, also when the API repeats it.
#[tokio::test]
async fn a_key_is_hidden_whatever_stands_before_it() {
    for prefix in ["", "Bearer ", "key=", "Token token=", "ApiKey:"] {
        let api = Api::once(401, json!({"message": format!("{prefix}{KEY} is unknown, {KEY}!")})).await;
        let settings = DiddoSettings::new("x-key", "/secret").unwrap().with_key_prefix(prefix);
        let client = Diddo::new(&api.url(), key(), settings, options()).unwrap();
        let error = failure(client.retrieve(id()).await);
        assert!(error.to_string().contains("(hidden) is unknown, (hidden)!"), "{error}");
        assert_eq!(api.asked_once().await.header("x-key"), Some(&*format!("{prefix}{KEY}")));
    }
}

/// A key of several words is one key.
#[tokio::test]
async fn a_key_of_two_words_is_hidden_as_a_whole() {
    let api = Api::once(401, json!({"message": "no hunter2 opens-this-door"})).await;
    let (secret, settings) =
        (Secret::new("hunter2 opens-this-door").unwrap(), DiddoSettings::new("x-key", "/secret").unwrap());
    let client = Diddo::new(&api.url(), secret, settings, options()).unwrap();
    let error = failure(client.retrieve(id()).await);
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn an_answer_about_another_one_is_not_taken() {
    let api = Api::always(answer(200, diddo_endpoint(UUID))).await;
    let (client, other) = (api.diddo(), Uuid::from_u128(7));
    for error in [
        failure(client.update(other, &DiddoUpdate::new().with_active(false)).await),
        failure(client.retrieve(other).await),
    ] {
        assert_eq!(error.kind(), EndpointErrorKind::Malformed);
        assert!(error.to_string().contains("another id"), "{error}");
    }
}
