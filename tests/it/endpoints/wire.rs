//! Connections that break, answers that stop, stall or never end.

use std::time::Duration;

use futures_util::future::{join, join3};
use tower_webhook::endpoints::EndpointErrorKind as Kind;

use super::api::{Api, casapay, casapay_created, failure, options, told};
use super::calls::{CALLS, creates, make};
use super::raw::{Raw, Step, http};
use crate::servers::free_port;
use crate::stage::within_a_minute;

/// Long enough that a request is sent and answered within it by a process that is stopped now and then. What takes so
/// long is done at once.
const SHORT: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again_unless_it_was_to_create() {
    let whole = casapay_created("we_1").to_string();
    let half = http(200, whole.len(), &whole[..whole.len() / 2]);
    let chunk = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n[\"abc".to_vec();
    for step in [Step::Close, Step::Cut(half), Step::Cut(chunk), Step::Cut(b"HTTP/1.1 200".to_vec())] {
        for call in CALLS {
            let api = Raw::in_turn([step.clone(), step.clone(), step.clone()]).await;
            let error = make(call, &api.url(), options().with_attempts(2)).await;
            let (kind, attempts) = if creates(call) { (Kind::OutcomeUnknown, 1) } else { (Kind::Broken, 2) };
            assert_eq!((error.kind(), api.asked().len()), (kind, attempts), "{call} {step:?}");
        }
    }
}

/// In a query, or in a path, somebody may have put a credential.
#[tokio::test]
async fn an_error_of_a_connection_does_not_repeat_the_url() {
    let half = http(200, 100, "[");
    for step in [Step::Close, Step::Cut(half)] {
        for call in ["casapay list", "casapay events", "casapay create"] {
            let api = Raw::in_turn([step.clone()]).await;
            let url = format!("{}/path-with-a-password", api.url());
            let error = make(call, &url, options().with_attempts(1)).await;
            assert!(api.asked()[0].contains("path-with-a-password"));
            assert!(std::error::Error::source(&error).is_some(), "{call} {step:?}");
            assert!(!told(&error).contains("path-with"), "{}", told(&error));
        }
    }
}

#[tokio::test]
async fn what_speaks_no_http_is_an_error() {
    let noise = Step::Cut(b"220 mail.example ESMTP\r\n".to_vec());
    let api = Raw::in_turn(vec![noise; 2]).await;
    let error = make("casapay list", &api.url(), options().with_attempts(1)).await;
    assert_eq!(error.kind(), Kind::Broken);
}

#[tokio::test]
async fn an_answer_that_breaks_off_once_costs_one_attempt() {
    let api = Raw::in_turn([Step::Cut(http(200, 100, "[")), Step::json(200, "[]")]).await;
    assert!(casapay(&api.url(), options()).list().await.unwrap().is_empty());
    assert_eq!(api.asked().len(), 2);
}

/// The connection is one that was used before, which clients of HTTP like to open anew by themselves.
#[tokio::test]
async fn a_creation_on_a_connection_that_was_used_before_is_sent_once() {
    let api = Raw::in_turn([Step::json(200, "[]"), Step::Close, Step::Close]).await;
    let client = casapay(&api.url(), options());
    client.list().await.unwrap();
    let new = tower_webhook::endpoints::NewEndpoint::new(super::api::URL, ["invoice.paid"]);
    assert_eq!(failure(client.create(&new).await).kind(), Kind::OutcomeUnknown);
    assert_eq!(api.asked(), ["GET /v1/webhook_endpoints", "POST /v1/webhook_endpoints"]);
}

#[tokio::test]
async fn an_attempt_ends_in_time_whether_the_answer_begins_or_not() {
    let hasty = || options().with_attempt_timeout(SHORT).with_deadline(100 * SHORT);
    let ends = |stall: Step| async move {
        let once = async {
            let api = Raw::in_turn([stall.clone(), Step::json(200, "[]")]).await;
            assert!(casapay(&api.url(), hasty()).list().await.unwrap().is_empty());
            assert_eq!(api.asked().len(), 2);
        };
        let twice = async {
            let api = Raw::in_turn(vec![stall.clone(); 3]).await;
            let error = make("diddo list", &api.url(), hasty().with_attempts(2)).await;
            assert_eq!((error.kind(), api.asked().len()), (Kind::Timeout, 2));
        };
        let creating = async {
            let api = Raw::in_turn(vec![stall.clone(); 2]).await;
            let error = make("casapay create", &api.url(), hasty()).await;
            assert_eq!((error.kind(), api.asked().len()), (Kind::OutcomeUnknown, 1));
        };
        join3(once, twice, creating).await;
    };
    join(ends(Step::Stall(Vec::new())), ends(Step::Stall(http(200, 100, "[")))).await;
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_whatever_its_attempts_may_take() {
    let stall = Step::Stall(Vec::new());
    let patient = options().with_attempt_timeout(Duration::from_secs(3600)).with_deadline(SHORT);
    let ends = async |steps: Vec<Step>| {
        let (api, attempts) = (Raw::in_turn(steps.clone()).await, steps.len());
        let error = within_a_minute(make("casapay list", &api.url(), patient.clone())).await;
        assert_eq!((error.kind(), api.asked().len()), (Kind::Timeout, attempts));
    };
    join(ends(vec![stall.clone()]), ends(vec![Step::Close, stall])).await;
}

#[tokio::test]
async fn a_pause_that_the_deadline_would_cut_is_not_begun() {
    let api = Api::always(wiremock::ResponseTemplate::new(500)).await;
    let slow = options().with_first_pause(Duration::from_secs(7200)).with_deadline(Duration::from_secs(3600));
    let error = within_a_minute(make("casapay list", &api.url(), slow)).await;
    assert_eq!(error.kind(), Kind::Server);
    api.asked_once().await;
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    for call in CALLS {
        let error = make(call, &nobody, options().with_attempts(2)).await;
        assert_eq!((error.kind(), error.may_have_created()), (Kind::Unreachable, false), "{call}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_it() {
    let huge = wiremock::ResponseTemplate::new(200).set_body_bytes(vec![b' '; (16 << 20) + 1]);
    let api = Api::always(huge).await;
    for (call, kind) in [("casapay list", Kind::TooLarge), ("casapay create", Kind::OutcomeUnknown)] {
        assert_eq!(make(call, &api.url(), options()).await.kind(), kind);
    }
    assert_eq!(api.asked().await.len(), 2, "it would be as long again");
}

#[tokio::test]
async fn an_answer_just_short_enough_is_read() {
    let body = format!("[]{}", " ".repeat((16 << 20) - 2));
    let api = Api::always(wiremock::ResponseTemplate::new(200).set_body_string(body)).await;
    assert!(api.casapay().list().await.unwrap().is_empty());
}
