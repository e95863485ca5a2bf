//! Secrets of endpoints that are gone: removed when the API says so, and not because of one list.

use std::time::{Duration, SystemTime};

use serde_json::json;
use tower_webhook::endpoints::{
    EndpointApi, EndpointErrorKind as Kind, EndpointManager, FileSink, Registered, RotationPolicy,
    RotationStep, SecretSink as _,
};
use tower_webhook::{Secret, SecretUsage};

use super::api::{Api, URL, UUID, answer, casapay_created, casapay_endpoint, diddo_endpoint, failure, types};
use super::memory::{Memory, Quirk, managed, managed_with_one};

const AT_ONCE: RotationPolicy = RotationPolicy::new(Duration::ZERO, Duration::ZERO);

fn used(_: &str) -> Option<SecretUsage> {
    Some(SecretUsage::new(SystemTime::UNIX_EPOCH, Some(SystemTime::UNIX_EPOCH)))
}

fn replacing(id: &str, old: &str) -> Registered {
    let marker = format!("x [replaces {old} since 1700000000]");
    Registered::new(id, URL, types(&["invoice.paid"])).with_description(Some(marker))
}

#[tokio::test]
async fn one_list_without_an_endpoint_costs_nothing() {
    let (api, vault, manager) = managed_with_one(&["invoice.paid"]);
    manager.begin_rotation(URL).await.unwrap();
    api.set(Quirk::ListsOnceWithout("old"));
    let ensured = manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap();
    assert_eq!((&*ensured.endpoint_id, vault.get("old").is_some()), ("we_1", true));

    api.set(Quirk::ListsOnceWithout("old"));
    let error = failure(manager.advance_rotation(URL, AT_ONCE, used).await);
    assert_eq!((error.kind(), error.endpoint_ids()), (Kind::IncompleteList, &types(&["old"])[..]));
    assert!(error.to_string().contains("exists that was not in the list"), "{error}");

    // With its secret in the sink or without: a third endpoint would be one too many.
    for is_known in [true, false] {
        if !is_known {
            vault.lose("old");
        }
        api.set(Quirk::ListsOnceWithout("old"));
        assert_eq!(failure(manager.begin_rotation(URL).await).kind(), Kind::IncompleteList);
        assert_eq!(api.ids(), ["old", "we_1"]);
    }
}

/// A crash came between the deletion and this. The next rotation writes another marker over the one that knows of it.
#[tokio::test]
async fn what_a_rotation_left_behind_is_removed_before_the_next_one() {
    let (api, vault, manager) = managed();
    api.add(replacing("b", "a"));
    vault.put("a");
    vault.put("b");
    assert_eq!(manager.begin_rotation(URL).await.unwrap().old, "b");
    assert_eq!((vault.get("a"), vault.get("b").is_some()), (None, true));
    let asked = api.journal.read();
    assert_eq!(asked[..4], ["list", "list", "remove acme a", "announce acme"], "looked for once more");
}

/// It delivers to somebody else now.
#[tokio::test]
async fn an_endpoint_that_has_another_url_is_not_gone() {
    let (api, vault, manager) = managed();
    api.add(Registered::new("a", "https://elsewhere.example/", types(&["invoice.paid"])));
    api.add(replacing("b", "a"));
    vault.put("a");
    vault.put("b");
    manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap();
    assert_eq!(manager.advance_rotation(URL, AT_ONCE, used).await.unwrap(), RotationStep::NotRotating);
    assert!(vault.get("a").is_some());
    assert_eq!(manager.begin_rotation(URL).await.unwrap().old, "b");
}

/// The two that can be asked for one endpoint are asked that.
#[tokio::test]
async fn whether_an_endpoint_exists_is_its_own_question() {
    let answers = || [200, 404, 401].into_iter();
    let casapay = Api::in_turn(answers().map(|status| answer(status, casapay_endpoint("we_1")))).await;
    let client = casapay.casapay();
    assert_eq!((client.exists("we_1").await.unwrap(), client.exists("we_1").await.unwrap()), (true, false));
    assert_eq!(failure(client.exists("we_1").await).kind(), Kind::Unauthorized);
    assert!(casapay.asked().await.iter().all(|asked| asked.line == "GET /v1/webhook_endpoints/we_1"));

    let diddo = Api::in_turn(answers().map(|status| answer(status, diddo_endpoint(UUID)))).await;
    let client = diddo.diddo();
    assert_eq!((client.exists(UUID).await.unwrap(), client.exists(UUID).await.unwrap()), (true, false));
    assert_eq!(failure(client.exists(UUID).await).kind(), Kind::Unauthorized);
    assert!(!client.exists("no-id-of-diddo").await.unwrap());
    assert_eq!(diddo.asked().await.len(), 3);
    assert!(diddo.asked().await.iter().all(|asked| asked.line == format!("GET /webhook/{UUID}")));

    // One that cannot be asked lists once more.
    let api = Memory::new();
    api.add(Registered::new("a", URL, vec![]));
    assert!(api.exists("a").await.unwrap() && !api.exists("b").await.unwrap());
}

/// What a rotation keeps in a description, in each API's own words.
#[tokio::test]
async fn descriptions_are_changed_and_nothing_else() {
    let casapay = Api::once(200, casapay_endpoint("we_1")).await;
    casapay.casapay().set_description("we_1", "shop 7").await.unwrap();
    let asked = casapay.asked_once().await;
    assert_eq!(
        (&*asked.line, asked.body),
        ("POST /v1/webhook_endpoints/we_1", json!({"description": "shop 7"}))
    );

    let diddo = Api::once(200, diddo_endpoint(UUID)).await;
    diddo.diddo().set_description(UUID, "shop 7").await.unwrap();
    let asked = diddo.asked_once().await;
    assert_eq!((asked.line, asked.body), (format!("PUT /webhook/{UUID}"), json!({"description": "shop 7"})));
}

/// How an API speaks of what was deleted long ago is documented nowhere. Another list decides.
#[tokio::test]
async fn an_answer_that_says_nothing_does_not_end_rotations_for_ever() {
    let deleted = json!({"id": "we_1", "deleted": true});
    for (status, body) in
        [(410, json!({})), (200, deleted), (400, json!({})), (403, json!({})), (500, json!({}))]
    {
        let api = Api::with(move |request| {
            if request.url.path().ends_with("/we_1") {
                return answer(status, body.clone());
            }
            if request.method.as_str() == "POST" {
                return answer(200, casapay_created("we_3"));
            }
            let mut listed = casapay_endpoint("we_2");
            (listed["url"], listed["enabled_events"]) = (URL.into(), json!(["invoice.paid"]));
            listed["description"] = "x [replaces we_1 since 1700000000]".into();
            answer(200, json!({"data": [listed]}))
        })
        .await;
        let directory = tempfile::tempdir().unwrap();
        let sink = FileSink::new(directory.path());
        for id in ["we_1", "we_2"] {
            sink.store("casapay", id, &Secret::new("whsec_0123456789abcdef").unwrap()).await.unwrap();
        }
        let manager = EndpointManager::new(api.casapay(), sink.clone());
        let ensured = manager.ensure_endpoint(URL, ["invoice.paid"]).await;
        // A server that fails may be asked later.
        assert_eq!(ensured.is_ok(), status < 500, "{status}: {ensured:?}");
        assert_eq!(sink.contains("casapay", "we_1").await.unwrap(), status >= 500, "{status}");
        if status < 500 {
            assert_eq!(manager.begin_rotation(URL).await.unwrap().new, "we_3", "{status}");
        }
    }
}
