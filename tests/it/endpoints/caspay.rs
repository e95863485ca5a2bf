//! CasPay's one documented call, with what is undocumented invented.

use serde_json::json;
use tower_webhook::Secret;
use tower_webhook::endpoints::{CasPay, CasPaySettings, EndpointErrorKind};
use wiremock::ResponseTemplate;

use super::api::{Api, KEY, URL, answer, failure, key, options, types};

/// Chosen by the merchant: nothing in it says what it is.
const CHOSEN: &str = "chosen-secret-that-nobody-sees";

fn secret() -> Secret {
    Secret::new(CHOSEN).unwrap()
}

#[tokio::test]
async fn creates_as_the_sdk_does() {
    let api = Api::once(201, json!({"id": "wh_1"})).await;
    let events = types(&["payment.completed", "payment.failed"]);
    let endpoint = api.caspay().create(URL, &events, &secret()).await.unwrap();
    assert_eq!(endpoint.id.as_deref(), Some("wh_1"));
    let asked = api.asked_once().await;
    assert_eq!(asked.line, "POST /invented/hooks");
    assert_eq!(asked.body, json!({"url": URL, "events": events, "secret": CHOSEN}));
    assert_eq!((asked.header("x-invented-key"), asked.header("authorization")), (Some(KEY), None));
}

#[tokio::test]
async fn the_key_may_stand_behind_a_prefix() {
    let api = Api::once(200, json!({})).await;
    let settings = CasPaySettings::new("/h", "authorization").unwrap().with_key_prefix("Bearer ");
    let client = CasPay::new(&api.url(), key(), settings, options()).unwrap();
    client.create(URL, &types(&["payment.failed"]), &secret()).await.unwrap();
    let asked = api.asked_once().await;
    assert_eq!((&*asked.line, asked.header("authorization")), ("POST /h", Some(&*format!("Bearer {KEY}"))));
}

/// The answer is undocumented, and nothing of it is needed.
#[tokio::test]
async fn whatever_a_success_says_is_a_success() {
    for body in ["", "created", "[]", "null", r#"{"id":7}"#, r#"{"webhook":{"id":"wh_1"}}"#] {
        let api = Api::in_turn([ResponseTemplate::new(200).set_body_string(body)]).await;
        let endpoint = api.caspay().create(URL, &types(&["payment.failed"]), &secret()).await.unwrap();
        assert_eq!(endpoint.id, None, "{body}");
    }
}

/// The merchant has the secret, so that an answer that was lost costs nothing but certainty.
#[tokio::test]
async fn a_failure_that_may_have_created_says_so_and_is_not_repeated() {
    let api = Api::always(answer(500, json!({"error": format!("cannot store {CHOSEN} of {KEY}")}))).await;
    let error = failure(api.caspay().create(URL, &types(&["payment.failed"]), &secret()).await);
    assert_eq!(error.kind(), EndpointErrorKind::OutcomeUnknown);
    assert!(error.may_have_created());
    assert!(error.to_string().ends_with("its secret is the one that was given"), "{error}");
    api.asked_once().await;
}

#[tokio::test]
async fn an_error_that_repeats_the_secret_is_shown_without_it() {
    let api = Api::once(400, json!({"message": format!("secret {CHOSEN} is too short, key {KEY}")})).await;
    let error = failure(api.caspay().create(URL, &types(&["payment.failed"]), &secret()).await);
    assert_eq!(error.kind(), EndpointErrorKind::BadRequest);
    assert!(error.to_string().contains("secret (hidden) is too short, key (hidden)"), "{error}");
}

#[test]
fn a_path_leads_where_it_says() {
    for (path, header) in [
        ("", "x-key"),
        ("webhooks", "x-key"),
        ("/", "x-key"),
        ("/a//b", "x-key"),
        ("/a/../b", "x-key"),
        ("/./a", "x-key"),
        ("/a?b", "x-key"),
        ("/a#b", "x-key"),
        ("/a%2fb", "x-key"),
        ("/webhooks", ""),
        ("/webhooks", "x key"),
    ] {
        let error = failure(CasPaySettings::new(path, header));
        assert_eq!(error.kind(), EndpointErrorKind::InvalidRequest, "{path} {header}");
    }
}
