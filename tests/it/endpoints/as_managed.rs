//! CasaPay and Diddo as a manager sees them: the same few calls, told in each API's own words.

use serde_json::{Value, json};
use tower_webhook::endpoints::{Change, EndpointApi, EndpointManager};

use super::api::{
    Api, URL, UUID, WHSEC, answer, casapay_created, casapay_endpoint, diddo_created, diddo_endpoint, types,
};
use super::memory::{Memory, Vault};

/// Method, path and body of each request.
async fn asked(api: &Api) -> Vec<(String, Value)> {
    api.asked().await.into_iter().map(|asked| (asked.line, asked.body)).collect()
}

/// Pauses, goes on, and delivers another type.
async fn change(client: &impl EndpointApi, id: &str) {
    assert!(!client.set_active(id, false).await.unwrap().is_active());
    assert!(client.set_active(id, true).await.unwrap().is_active());
    assert_eq!(client.set_events(id, &types(&["b.c"])).await.unwrap().id(), id);
    client.delete(id).await.unwrap();
}

#[tokio::test]
async fn casapay_is_changed_by_post() {
    let (mut paused, running) = (casapay_endpoint("we_1"), casapay_endpoint("we_1"));
    paused["status"] = "disabled".into();
    let api = Api::in_turn([paused, running.clone(), running, json!({})].map(|body| answer(200, body))).await;
    change(&api.casapay(), "we_1").await;
    let at = |method: &str| format!("{method} /v1/webhook_endpoints/we_1");
    let expected = [
        (at("POST"), json!({"status": "disabled"})),
        (at("POST"), json!({"status": "enabled"})),
        (at("POST"), json!({"enabled_events": ["b.c"]})),
        (at("DELETE"), Value::Null),
    ];
    assert_eq!(asked(&api).await, expected);
}

#[tokio::test]
async fn diddo_is_changed_by_put() {
    let (mut paused, running) = (diddo_endpoint(UUID), diddo_endpoint(UUID));
    paused["active"] = false.into();
    let api = Api::in_turn([paused, running.clone(), running, json!({})].map(|body| answer(200, body))).await;
    change(&api.diddo(), UUID).await;
    let at = |method: &str| format!("{method} /webhook/{UUID}");
    let expected = [
        (at("PUT"), json!({"active": false})),
        (at("PUT"), json!({"active": true})),
        (at("PUT"), json!({"events": ["b.c"]})),
        (at("DELETE"), Value::Null),
    ];
    assert_eq!(asked(&api).await, expected);
}

/// Every type that is documented, and the secret where it is kept.
#[tokio::test]
async fn both_are_subscribed_to_all_that_is_documented() {
    let created = [answer(200, json!([])), answer(201, casapay_created("we_1"))];
    let (casapay, vault) = (Api::in_turn(created).await, Vault::beside(&Memory::new()));
    let manager = EndpointManager::new(casapay.casapay(), vault.clone());
    assert_eq!(manager.ensure_endpoint(URL, ["*"]).await.unwrap().change, Change::Created);
    assert_eq!(vault.get("we_1").as_deref(), Some(WHSEC));
    let [list, create] = &asked(&casapay).await[..] else { panic!("two requests") };
    assert_eq!((&*list.0, &*create.0), ("GET /v1/webhook_endpoints", "POST /v1/webhook_endpoints"));
    let sent = create.1["enabled_events"].as_array().unwrap();
    for documented in
        ["payment_intent.succeeded", "charge.refunded", "mandate.active", "score_report.*", "invoice.paid"]
    {
        assert!(sent.contains(&documented.into()), "{documented}");
    }
    let members: Vec<_> = create.1.as_object().unwrap().keys().collect();
    assert_eq!(members, ["description", "enabled_events", "url"]);

    let created = [answer(200, json!([])), answer(201, diddo_created(UUID))];
    let (diddo, vault) = (Api::in_turn(created).await, Vault::beside(&Memory::new()));
    let manager = EndpointManager::new(diddo.diddo(), vault.clone());
    manager.ensure_endpoint(URL, ["*"]).await.unwrap();
    assert_eq!(vault.get(UUID).as_deref(), Some(WHSEC));
    let body = json!({
        "url": URL, "description": "managed by tower-webhook",
        "events": [
            "checkout.cancelled", "checkout.failed", "checkout.in_progress", "checkout.initialized",
            "checkout.succeeded", "order.submitted",
        ],
    });
    assert_eq!(asked(&diddo).await[1], ("POST /webhook".to_owned(), body));
}
