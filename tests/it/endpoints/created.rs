//! The answer to a creation, which shows the secret once: what is wrong with it must cost nothing that is right.

use serde_json::{Value, json};
use tower_webhook::Secret;
use tower_webhook::endpoints::{
    CasaPayEndpoint, EndpointError, EndpointErrorKind as Kind, EndpointStatus, NewEndpoint,
};
use wiremock::ResponseTemplate;

use super::api::{Api, URL, UUID, WHSEC, answer, casapay_created, diddo_created, failure, types};

async fn casapay(answer: ResponseTemplate) -> Result<(CasaPayEndpoint, Secret), EndpointError> {
    let api = Api::in_turn([answer]).await;
    let created =
        api.casapay().create(&NewEndpoint::new(URL, ["invoice.paid"]).with_description("mine")).await;
    api.asked_once().await;
    created
}

async fn diddo(answer: ResponseTemplate) -> Result<(uuid::Uuid, Secret), EndpointError> {
    let api = Api::in_turn([answer]).await;
    let created = api.diddo().create(URL, &types(&["order.submitted"]), None).await;
    api.asked_once().await;
    created.map(|(endpoint, secret)| (endpoint.id, secret))
}

/// The answer with a member replaced, or without it.
fn with(mut object: Value, member: &str, value: impl Into<Option<Value>>) -> ResponseTemplate {
    match value.into() {
        Some(value) => object[member] = value,
        None => drop(object.as_object_mut().unwrap().remove(member)),
    }
    answer(201, object)
}

#[tokio::test]
async fn an_endpoint_without_a_secret_is_named_so_that_it_can_be_deleted() {
    let secrets =
        [None, Some(Value::Null), Some(json!(7)), Some(json!("")), Some(json!("  ")), Some(json!("whsec_"))];
    for secret in secrets {
        let error = failure(casapay(with(casapay_created("we_1"), "secret", secret.clone())).await);
        assert_eq!(
            (error.kind(), error.endpoint_ids()),
            (Kind::SecretMissing, &types(&["we_1"])[..]),
            "{secret:?}"
        );
        assert!(error.may_have_created());
        assert!(
            error.to_string().contains("delete the endpoint") && error.to_string().contains("we_1"),
            "{error}"
        );
        assert!({ error }.take_secret().is_none());

        let error = failure(diddo(with(diddo_created(UUID), "signing", json!({"secret": secret}))).await);
        assert_eq!(
            (error.kind(), error.endpoint_ids()),
            (Kind::SecretMissing, &types(&[UUID])[..]),
            "{secret:?}"
        );
    }
}

/// For Diddo it is not looked for anywhere but where the settings say.
#[tokio::test]
async fn a_secret_at_another_place_is_none() {
    let error = failure(diddo(with(diddo_created(UUID), "signing", Some(json!(WHSEC)))).await);
    assert_eq!(error.kind(), Kind::SecretMissing);
}

#[tokio::test]
async fn a_short_secret_is_better_than_none() {
    for short in ["abc", "whsec_x"] {
        let (_, secret) = casapay(with(casapay_created("we_1"), "secret", json!(short))).await.unwrap();
        assert_eq!(secret.expose(), short);
    }
}

#[tokio::test]
async fn a_secret_survives_whatever_else_is_wrong() {
    let wrong: [(&str, Option<Value>); 7] = [
        ("enabled_events", None),
        ("enabled_events", Some(json!("invoice.paid"))),
        ("url", None),
        ("status", Some(json!(1))),
        ("created", Some(json!("yesterday"))),
        ("metadata", Some(json!([]))),
        ("description", Some(json!({"a": 1}))),
    ];
    for (member, value) in wrong {
        let (endpoint, secret) = casapay(with(casapay_created("we_1"), member, value)).await.unwrap();
        assert_eq!((secret.expose(), &*endpoint.id), (WHSEC, "we_1"), "{member}");
        // What was asked for, since the answer cannot be read.
        assert_eq!((&*endpoint.url, &endpoint.status), (URL, &EndpointStatus::Enabled), "{member}");
        assert_eq!(endpoint.enabled_events, ["invoice.paid"], "{member}");
        assert_eq!(endpoint.description.as_deref(), Some("mine"), "{member}");
    }
    for (member, value) in [("events", None), ("url", Some(json!(7))), ("active", Some(json!("yes")))] {
        let (id, secret) = diddo(with(diddo_created(UUID), member, value)).await.unwrap();
        assert_eq!((secret.expose(), id.to_string()), (WHSEC, UUID.to_owned()), "{member}");
    }
}

/// Whose it is nobody knows, but it is the only copy.
#[tokio::test]
async fn a_secret_without_an_id_is_in_the_error() {
    for id in [None, Some(Value::Null), Some(json!(7))] {
        let mut error = failure(casapay(with(casapay_created("we_1"), "id", id)).await);
        assert_eq!((error.kind(), error.may_have_created()), (Kind::OutcomeUnknown, true));
        assert_eq!(error.take_secret().unwrap().expose(), WHSEC);
        assert!(error.take_secret().is_none(), "taken");
    }
    let mut error = failure(diddo(with(diddo_created(UUID), "id", json!("no-uuid"))).await);
    assert_eq!(error.kind(), Kind::OutcomeUnknown);
    assert_eq!(error.take_secret().unwrap().expose(), WHSEC);
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_leaves_it_open_what_happened() {
    let half = &casapay_created("we_1").to_string()[..40];
    for body in ["", "<html>", "null", "[]", "7", "{}", half] {
        for status in [200, 201, 202] {
            let answer = || ResponseTemplate::new(status).set_body_string(body);
            for error in [failure(casapay(answer()).await), failure(diddo(answer()).await)] {
                assert_eq!((error.kind(), error.may_have_created()), (Kind::OutcomeUnknown, true), "{body}");
                assert_eq!(error.status().unwrap().as_u16(), status);
            }
        }
    }
    let error = failure(casapay(ResponseTemplate::new(204)).await);
    assert_eq!(error.kind(), Kind::OutcomeUnknown);
}

/// Such as a member that repeats the secret, or an object that is none: serde would quote it.
#[tokio::test]
async fn an_answer_with_secrets_all_over_is_told_without_them() {
    let wrong = json!({"id": {"a": WHSEC}, "secret": [WHSEC], "url": WHSEC, "status": WHSEC, "enabled_events": WHSEC});
    failure(casapay(answer(200, wrong)).await);
    failure(casapay(ResponseTemplate::new(200).set_body_string(format!("\"{WHSEC}\""))).await);
    let (endpoint, _) = casapay(with(casapay_created("we_1"), "created", json!(WHSEC))).await.unwrap();
    super::api::assert_discreet(&format!("{endpoint:?}"));
}

/// What JSON allows, and no reader of it takes: half of a surrogate pair, a number that is none, a hundred levels.
#[tokio::test]
async fn a_secret_survives_what_cannot_be_read_elsewhere() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    for odd in [r#""\ud83d""#, "1e999", "-0.0", &deep, r#"{"\ud83d":1,"a":1,"a":2}"#] {
        for member in [format!(r#""metadata":{{"x":{odd}}}"#), format!(r#""created":{odd}"#)] {
            for body in [
                format!(r#"{{{member},"id":"we_1","secret":"{WHSEC}"}}"#),
                format!(r#"{{"id":"we_1","secret":"{WHSEC}",{member}}}"#),
                format!(r#"{{"id":"we_1","\ud83d":{{}},"secret":"{WHSEC}",{member}}}"#),
            ] {
                let answer = ResponseTemplate::new(200).set_body_string(&*body);
                let (endpoint, secret) = casapay(answer).await.unwrap();
                assert_eq!((&*endpoint.id, secret.expose()), ("we_1", WHSEC), "{body}");
            }
            let body = format!(r#"{{{member},"id":"{UUID}","signing":{{{member},"secret":"{WHSEC}"}}}}"#);
            let (id, secret) = diddo(ResponseTemplate::new(201).set_body_string(&*body)).await.unwrap();
            assert_eq!((id.to_string(), secret.expose()), (UUID.to_owned(), WHSEC), "{body}");
        }
    }
    // Nor need it be UTF-8.
    let mut body = format!(r#"{{"id":"we_1","secret":"{WHSEC}","description":"?"}}"#).into_bytes();
    *body.iter_mut().find(|byte| **byte == b'?').unwrap() = 0xff;
    let (endpoint, secret) = casapay(ResponseTemplate::new(200).set_body_bytes(body)).await.unwrap();
    assert_eq!((&*endpoint.id, secret.expose()), ("we_1", WHSEC));
}

/// Neither the mark that some programs begin a text with, nor white space around the secret, which no key has.
#[tokio::test]
async fn what_was_not_meant_costs_no_secret() {
    let marked = format!("\u{feff}{}", casapay_created("we_1"));
    let padded = with(casapay_created("we_1"), "secret", json!(format!("\u{feff} {WHSEC}\n")));
    for answer in [ResponseTemplate::new(201).set_body_string(marked), padded] {
        let (endpoint, secret) = casapay(answer).await.unwrap();
        assert_eq!((&*endpoint.id, secret.expose()), ("we_1", WHSEC));
    }
}
