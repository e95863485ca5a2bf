//! Documented and other statuses as errors: what kind, what is in them, and how often a call was tried.

use serde_json::{Value, json};
use tower_webhook::endpoints::EndpointErrorKind as Kind;
use wiremock::ResponseTemplate;

use super::api::{Api, options};
use super::calls::{CALLS, Clients, creates, make};

fn body() -> Value {
    json!({"error": {"type": "invalid", "message": "the API says why"}})
}

#[tokio::test]
async fn a_refusal_is_an_error_of_its_kind_at_once_and_with_what_the_api_says() {
    for (status, kind) in [
        (400, Kind::BadRequest),
        (401, Kind::Unauthorized),
        (403, Kind::Forbidden),
        (404, Kind::NotFound),
        (409, Kind::Conflict),
        (402, Kind::UnexpectedStatus),
        (422, Kind::UnexpectedStatus),
    ] {
        let refusal =
            ResponseTemplate::new(status).set_body_json(body()).insert_header("request-id", "req_7");
        let api = Api::always(refusal).await;
        let clients = Clients::new(&api.url(), options());
        for (made, call) in CALLS.iter().enumerate() {
            let error = clients.fail(call).await;
            assert_eq!(
                (error.kind(), error.status().map(|status| status.as_u16())),
                (kind, Some(status)),
                "{call}"
            );
            assert!(!error.may_have_created(), "{call}");
            assert_eq!(error.request_id(), Some("req_7"), "{call}");
            let text = error.to_string();
            for part in [call.split(' ').next().unwrap(), &status.to_string(), "the API says why", "req_7"] {
                assert!(text.contains(part), "{call}: {text}");
            }
            assert_eq!(api.asked().await.len(), made + 1, "{call}: tried once");
        }
    }
}

#[tokio::test]
async fn a_failure_of_the_api_is_tried_again_unless_it_was_to_create() {
    for status in [500, 502, 503, 504] {
        let answer =
            ResponseTemplate::new(status).set_body_json(body()).insert_header("x-request-id", "req_8");
        let api = Api::always(answer).await;
        let clients = Clients::new(&api.url(), options().with_attempts(3));
        let mut made = 0;
        for call in CALLS {
            let error = clients.fail(call).await;
            let (kind, attempts) = if creates(call) { (Kind::OutcomeUnknown, 1) } else { (Kind::Server, 3) };
            made += attempts;
            let answered = error.status().map(|status| status.as_u16());
            assert_eq!((error.kind(), answered), (kind, Some(status)), "{call}");
            assert_eq!(error.may_have_created(), creates(call), "{call}");
            assert_eq!(error.request_id(), Some("req_8"), "{call}");
            assert_eq!(api.asked().await.len(), made, "{call}");
        }
    }
}

/// By a gateway that waited no longer for the API, which may carry it out yet.
#[tokio::test]
async fn a_creation_that_was_given_up_on_the_way_may_be_carried_out() {
    for call in CALLS {
        let api = Api::always(ResponseTemplate::new(408).insert_header("request-id", "req_9")).await;
        let error = make(call, &api.url(), options()).await;
        let kind = if creates(call) { Kind::OutcomeUnknown } else { Kind::UnexpectedStatus };
        assert_eq!((error.kind(), error.may_have_created()), (kind, creates(call)), "{call}");
        assert_eq!((error.status().unwrap().as_u16(), error.request_id()), (408, Some("req_9")), "{call}");
        api.asked_once().await;
    }
}

/// It is when to look for what became of it.
#[tokio::test]
async fn when_to_come_back_is_said_of_a_creation_that_may_have_been_carried_out() {
    for call in CALLS.into_iter().filter(|call| creates(call)) {
        let api = Api::always(ResponseTemplate::new(503).insert_header("retry-after", "7")).await;
        let error = make(call, &api.url(), options()).await;
        let after = Some(std::time::Duration::from_secs(7));
        assert_eq!((error.kind(), error.retry_after()), (Kind::OutcomeUnknown, after), "{call}");
    }
}

#[tokio::test]
async fn a_status_that_no_attempt_will_change_is_not_tried_again() {
    let api = Api::always(ResponseTemplate::new(501)).await;
    let error = make("casapay list", &api.url(), options()).await;
    assert_eq!(error.kind(), Kind::Server);
    api.asked_once().await;
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_goes_nowhere() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = Api::always(ResponseTemplate::new(200).set_body_json(json!([]))).await;
        let location = format!("{}/stolen", elsewhere.url());
        let api = Api::always(ResponseTemplate::new(status).insert_header("location", &*location)).await;
        let clients = Clients::new(&api.url(), options());
        for (made, call) in CALLS.iter().enumerate() {
            let error = clients.fail(call).await;
            // "See other" is how something that was done is answered, and "found" is how it was before there was that.
            let is_unclear = matches!(status, 302 | 303) && call.ends_with("create");
            let kind = if is_unclear { Kind::OutcomeUnknown } else { Kind::Redirected };
            assert_eq!(error.kind(), kind, "{call} {status}");
            assert_eq!(api.asked().await.len(), made + 1, "{call} {status}");
        }
        assert!(elsewhere.asked().await.is_empty());
    }
}

/// Nor to the host that the client may talk to.
#[tokio::test]
async fn a_redirect_on_the_same_host_is_not_followed_either() {
    let api =
        Api::always(ResponseTemplate::new(307).insert_header("location", "/v2/webhook_endpoints")).await;
    assert_eq!(make("casapay list", &api.url(), options()).await.kind(), Kind::Redirected);
    api.asked_once().await;
}

#[tokio::test]
async fn an_error_shows_no_control_characters_and_no_page() {
    let bodies = [
        ResponseTemplate::new(400).set_body_json(json!({"message": "a\u{1b}[2Jb\nc"})),
        ResponseTemplate::new(400).set_body_string(format!("<html>{}", "x".repeat(100_000))),
        ResponseTemplate::new(400).set_body_json(json!({"message": "y".repeat(100_000)})),
        ResponseTemplate::new(400).set_body_bytes([0xff, 0xfe]).insert_header("request-id", "a b"),
    ];
    let api = Api::in_turn(bodies).await;
    let mut last = None;
    for _ in 0..4 {
        let error = make("casapay list", &api.url(), options()).await;
        let text = error.to_string();
        assert!(text.len() < 600 && !text.contains(char::is_control), "{text}");
        last = Some(error);
    }
    assert_eq!(last.unwrap().request_id(), None, "not what it looks like");
}
