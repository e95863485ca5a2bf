//! Handshakes through the whole service: answered where they are right, and never claimed, stored or handled.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_webhook::testing::SignedRequest;
use tower_webhook::{
    Accepted, Answer, Answers, Body, ConfigError, ConfigWarning, DeadLetter, Encoding, Envelope, EventRouter,
    Handshake, Part, Provider, ProviderBuilder, RejectionReason as R, Secret, Secrets, SignatureScheme,
    WebhookLayer, caspay, provider,
};

use crate::support::{Answered, Receiver, accepted, reason, secret};

/// A script, percent-encoded.
const HTML: &str = "%3Cscript%3Ealert(1)%3C/script%3E";

fn acme(handshake: Handshake) -> ProviderBuilder {
    Provider::builder("acme").signature(SignatureScheme::hmac_sha256("x-acme-signature")).handshake(handshake)
}

fn with(handshake: Handshake) -> Provider {
    acme(handshake).build().unwrap()
}

fn slack() -> Provider {
    provider::slack::provider()
}

fn twitch() -> Provider {
    provider::twitch::provider()
}

fn zoom() -> Provider {
    provider::zoom::provider()
}

/// A request of the provider's, signed with the secret that the receiver has.
fn signed(provider: &Provider, body: impl Into<Bytes>) -> Request<Body> {
    signed_by(provider, &secret(), body)
}

fn signed_by(provider: &Provider, secret: &Secret, body: impl Into<Bytes>) -> Request<Body> {
    SignedRequest::new(provider, secret, body).at_unix(crate::support::NOW).build()
}

fn forged(provider: &Provider, body: impl Into<Bytes>) -> Request<Body> {
    signed_by(provider, &Secret::new("a-secret-of-somebody-else").unwrap(), body)
}

fn request(method: Method, uri: &str) -> Request<Empty<Bytes>> {
    Request::builder().method(method).uri(uri).body(Empty::new()).unwrap()
}

fn get(query: &str) -> Request<Empty<Bytes>> {
    request(Method::GET, &format!("/hooks?{query}"))
}

async fn text(response: Answered) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Sends a handshake that must be answered: 200 with this content type and body, and nothing else happens.
async fn answers<B>(receiver: &Receiver, request: Request<B>, content_type: Option<&str>, body: &str)
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    let before =
        (receiver.calls.count(), receiver.store_calls(), receiver.stats().accepted(Accepted::Handshake));
    let response = receiver.send(request).await;
    assert_eq!((response.status(), reason(&response)), (StatusCode::OK, None));
    assert_eq!(accepted(&response), Some(Accepted::Handshake));
    let found = response.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap());
    assert_eq!(found, content_type);
    if found.is_some_and(|found| found.starts_with("text/plain")) {
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
    assert_eq!(text(response).await, body);
    let (calls, stored, handshakes) = before;
    assert_eq!(
        (receiver.calls.count(), receiver.store_calls()),
        (calls, stored),
        "a handler ran, or a claim was made"
    );
    assert_eq!(receiver.stats().accepted(Accepted::Handshake), handshakes + 1);
}

const JSON: Option<&str> = Some("application/json");
const TEXT: Option<&str> = Some("text/plain; charset=utf-8");

#[tokio::test]
async fn a_signed_challenge_is_echoed_in_json() {
    let receiver = Receiver::new(slack());
    let body = r#"{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}"#;
    let answer = r#"{"challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}"#;
    answers(&receiver, signed(&slack(), body), JSON, answer).await;
    assert_eq!(receiver.stats().envelopes(), 0, "it is no event");

    receiver.refuses(forged(&slack(), body), R::SignatureMismatch).await;
    let mut unsigned = signed(&slack(), body);
    unsigned.headers_mut().remove("x-slack-signature");
    receiver.refuses(unsigned, R::MissingHeader).await;
    let stale = SignedRequest::new(&slack(), &secret(), body).at_unix(crate::support::NOW - 301).build();
    receiver.refuses(stale, R::TimestampTooOld).await;
    receiver
        .handles(signed(&slack(), r#"{"type":"event_callback","event_id":"Ev1","event":{"type":"message"}}"#))
        .await;
}

#[tokio::test]
async fn a_challenge_that_cannot_be_echoed_is_unreadable() {
    let mut receiver = Receiver::new(slack());
    let long = format!(r#"{{"type":"url_verification","challenge":"{}"}}"#, "a".repeat(1_025));
    let bodies = [
        r#"{"type":"url_verification"}"#,
        r#"{"type":"url_verification","challenge":""}"#,
        r#"{"type":"url_verification","challenge":{"a":"b"}}"#,
        r#"{"type":"url_verification","challenge":"a","challenge":"b"}"#,
        r#"{"type":"url_verification","challenge":"\u0000"}"#,
        &long,
    ];
    for body in bodies {
        receiver
            .rejects(signed(&slack(), body.to_owned()), StatusCode::INTERNAL_SERVER_ERROR, R::Unreadable)
            .await;
    }
    // It is no event that somebody has to look after.
    receiver.layer = receiver.layer.with_dead_letter(async |_: DeadLetter| Ok::<_, Infallible>(()));
    let answer = receiver.send(signed(&slack(), bodies[0].to_owned())).await;
    assert_eq!((answer.status().as_u16(), reason(&answer)), (500, Some(R::Unreadable)));
    assert_eq!(receiver.store_calls(), 0);
}

#[tokio::test]
async fn a_challenge_by_header_is_echoed_as_text() {
    let (provider, receiver) = (twitch(), Receiver::new(twitch()));
    let verification = |mut request: Request<Body>| {
        let kind = HeaderValue::from_static("webhook_callback_verification");
        request.headers_mut().insert("twitch-eventsub-message-type", kind);
        request
    };
    let body = r#"{"challenge":"pogchamp-kappa-360noscope-vohiyo","subscription":{"id":"f1c2"}}"#;
    answers(&receiver, verification(signed(&provider, body)), TEXT, "pogchamp-kappa-360noscope-vohiyo").await;
    receiver.refuses(verification(forged(&provider, body)), R::SignatureMismatch).await;

    // Somebody who captured an event learns nothing by the header, and the event itself still runs.
    let event = || signed(&provider, r#"{"subscription":{"type":"stream.online"},"event":{}}"#);
    receiver.rejects(verification(event()), StatusCode::INTERNAL_SERVER_ERROR, R::Unreadable).await;
    receiver.handles(event()).await;
}

/// The published example of a third party: its secret, token and answer.
#[tokio::test]
async fn a_token_is_signed_as_published() {
    let published = || Secret::new("zoom-secret-token-xyz").unwrap();
    let receiver =
        Receiver::with_secrets(zoom(), Secrets::new(secret()).with_secret("published", published()).unwrap());
    let body = r#"{"payload":{"plainToken":"pv-plainToken-abc123"},"event_ts":1654503849680,"event":"endpoint.url_validation"}"#;
    let answer = r#"{"encryptedToken":"924c76d973084bbe133c17ff1c1a9b6639c74aef8bb34daa05c70361039e7beb","plainToken":"pv-plainToken-abc123"}"#;
    answers(&receiver, signed_by(&zoom(), &published(), body), JSON, answer).await;

    // Under the secret that verified, not another one.
    let response = receiver.send(signed(&zoom(), body)).await;
    let answered: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(answered["plainToken"], "pv-plainToken-abc123");
    assert_ne!(answered, serde_json::from_str::<Value>(answer).unwrap());

    receiver.refuses(forged(&zoom(), body), R::SignatureMismatch).await;
    receiver.handles(signed(&zoom(), r#"{"event":"meeting.started","payload":{"plainToken":"x"}}"#)).await;
}

#[tokio::test]
async fn a_token_that_could_be_a_request_is_not_signed() {
    let receiver = Receiver::new(zoom());
    let tokens =
        ["v0:1700000000:{\"event\":\"meeting.started\",\"payload\":{}}", "a:b", ":", "", &"a".repeat(257)];
    for token in tokens {
        let body =
            json!({ "event": "endpoint.url_validation", "payload": { "plainToken": token } }).to_string();
        receiver.rejects(signed(&zoom(), body), StatusCode::INTERNAL_SERVER_ERROR, R::Unreadable).await;
    }
    for payload in [json!({}), json!({ "plainToken": 7 }), json!("plainToken")] {
        let body = json!({ "event": "endpoint.url_validation", "payload": payload }).to_string();
        receiver.rejects(signed(&zoom(), body), StatusCode::INTERNAL_SERVER_ERROR, R::Unreadable).await;
    }
}

#[tokio::test]
async fn an_empty_list_is_acknowledged() {
    let provider = acme(Handshake::empty_list("/events"))
        .envelope(Envelope::identified_by_body().opaque("events"))
        .build()
        .unwrap();
    let receiver = Receiver::new(provider.clone());
    for body in [
        r#"{"events":[],"firstEventSequence":0,"lastEventSequence":0,"entropy":"S0m3r4Nd0mt3xt"}"#,
        r#"{"destination":"U1","events": [ ]}"#,
        r#"{"events":null}"#,
    ] {
        answers(&receiver, signed(&provider, body), None, "").await;
        receiver.refuses(forged(&provider, body), R::SignatureMismatch).await;
    }
    for body in [r#"{"events":[{"eventType":"CREATE"}]}"#, r#"{"x":[]}"#, "events=[]"] {
        receiver.handles(signed(&provider, body)).await;
    }
}

#[tokio::test]
async fn a_ping_has_a_fixed_answer() {
    let provider = acme(Handshake::constant("/type", 1, json!({ "type": 1 })))
        .handshake(Handshake::no_content("/type", 0))
        .envelope(Envelope::identified_by_digest().with_constant_event_type("interaction"))
        .build()
        .unwrap();
    let receiver = Receiver::new(provider.clone());
    answers(&receiver, signed(&provider, r#"{"type":1}"#), JSON, r#"{"type":1}"#).await;
    receiver.refuses(forged(&provider, r#"{"type":1}"#), R::SignatureMismatch).await;

    let none = receiver.send(signed(&provider, r#"{"version":1,"type":0}"#)).await;
    assert_eq!((none.status(), accepted(&none)), (StatusCode::NO_CONTENT, Some(Accepted::Handshake)));
    assert!(none.headers().contains_key(CONTENT_TYPE));
    assert_eq!((text(none).await.as_str(), receiver.store_calls()), ("", 0));

    receiver.handles(signed(&provider, r#"{"type":2}"#)).await;
    receiver.handles(signed(&provider, r#"{"type":"1"}"#)).await;
}

#[tokio::test]
async fn a_query_is_echoed_as_text() {
    let receiver = Receiver::new(with(Handshake::echo_query("challenge")));
    for (query, echoed) in [
        ("challenge=abc123", "abc123"),
        ("x=1&challenge=a%20b+c%2B&y=", "a b c+"),
        (&*format!("challenge={HTML}"), "<script>alert(1)</script>"),
        ("ch%61llenge=abc", "abc"),
        (&format!("challenge={}", "a".repeat(1_024)), &"a".repeat(1_024)),
    ] {
        answers(&receiver, get(query), TEXT, echoed).await;
    }
    assert_eq!(receiver.stats().macs(), 0);
    for query in [
        "challenge=",
        "challenge",
        "challenge=a%00b",
        "challenge=a%0d%0aset-cookie:x",
        "challenge=%C3%A9",
        "challenge=%ff",
        "challenge=a&challenge=a",
        "challenge=a&ch%61llenge=b",
        &format!("challenge={}", "a".repeat(2_048)),
    ] {
        let response = receiver.turns_away(get(query), StatusCode::BAD_REQUEST, R::HandshakeMalformed).await;
        assert!(response.headers().is_empty(), "{:?}", response.headers());
    }
    receiver.handles(signed(&with(Handshake::echo_query("challenge")), r#"{"id":"e-1","type":"t"}"#)).await;
}

#[tokio::test]
async fn other_methods_are_told_which_there_are() {
    let origins = || Handshake::origins(["eventgrid.azure.net"]);
    let echo = || Handshake::echo_query("challenge");
    let several = acme(echo()).handshake(origins()).handshake(Handshake::head()).build().unwrap();
    let providers = [
        (caspay::provider(), "POST"),
        (slack(), "POST"),
        (with(echo()), "GET, POST"),
        (with(Handshake::hub_topics()), "GET, POST"),
        (with(Handshake::head()), "HEAD, POST"),
        (with(origins()), "OPTIONS, POST"),
        (acme(echo()).handshake(origins()).build().unwrap(), "GET, OPTIONS, POST"),
        (acme(echo()).handshake(Handshake::head()).build().unwrap(), "GET, HEAD, POST"),
        (acme(origins()).handshake(Handshake::head()).build().unwrap(), "HEAD, OPTIONS, POST"),
        (several, "GET, HEAD, OPTIONS, POST"),
    ];
    for (provider, allowed) in providers {
        let receiver = Receiver::new(provider);
        for method in
            [Method::GET, Method::OPTIONS, Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE]
        {
            let refused = receiver.turns_away(
                request(method, "/?other=1&Challenge=x&mode=subscribe"),
                StatusCode::METHOD_NOT_ALLOWED,
                R::MethodNotAllowed,
            );
            assert_eq!(refused.await.headers()[ALLOW], allowed);
        }
    }
}

#[tokio::test]
async fn a_head_is_answered_where_it_is_asked_for() {
    let receiver = Receiver::new(with(Handshake::head()));
    answers(&receiver, request(Method::HEAD, "/"), None, "").await;
    let receiver = Receiver::new(with(Handshake::echo_query("challenge")));
    let head = request(Method::HEAD, "/?challenge=abc");
    receiver.turns_away(head, StatusCode::METHOD_NOT_ALLOWED, R::MethodNotAllowed).await;
}

const TOKEN: &str = "a-verify-token-of-mine";

#[tokio::test]
async fn a_hub_needs_the_verify_token() {
    let meta = || with(Handshake::hub_verify_token());
    let receiver = Receiver::new(meta().with_verify_token(Secret::new(TOKEN).unwrap()).unwrap());
    let right = format!("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={TOKEN}");
    answers(&receiver, get(&right), TEXT, "1158201444").await;
    for query in [
        "hub.mode=subscribe&hub.challenge=1158201444".to_owned(),
        "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=".to_owned(),
        right.replace(TOKEN, "another-token"),
        right.replace(TOKEN, &TOKEN.to_uppercase()),
        right.replace(TOKEN, &TOKEN[1..]),
        right.replace("subscribe", "unsubscribe"),
        right.replace("subscribe", ""),
    ] {
        receiver.turns_away(get(&query), StatusCode::FORBIDDEN, R::HandshakeRefused).await;
    }
    for query in [
        format!("{right}&hub.verify_token={TOKEN}"),
        format!("{right}&hub.verify_token=other"),
        format!("{right}&hub.mode=subscribe"),
        format!("{right}&hub.challenge=1"),
        right.replace("1158201444", "%00"),
        right.replace("1158201444", ""),
        right.replace("hub.challenge", "x"),
    ] {
        receiver.turns_away(get(&query), StatusCode::BAD_REQUEST, R::HandshakeMalformed).await;
    }
    let without_mode = get(&right.replace("hub.mode", "mode"));
    receiver.turns_away(without_mode, StatusCode::METHOD_NOT_ALLOWED, R::MethodNotAllowed).await;
    receiver.handles(signed(&meta(), r#"{"id":"e-1","type":"t"}"#)).await;

    let unconfigured = Receiver::new(meta());
    assert!(unconfigured.layer.warnings().contains(&ConfigWarning::HandshakeWithoutCheck));
    assert!(!receiver.layer.warnings().contains(&ConfigWarning::HandshakeWithoutCheck));
    for query in
        [&right, "hub.mode=subscribe&hub.challenge=1&hub.verify_token=", "hub.mode=subscribe&hub.challenge=1"]
    {
        unconfigured.turns_away(get(query), StatusCode::FORBIDDEN, R::HandshakeRefused).await;
    }
}

#[tokio::test]
async fn a_hub_hears_of_topics_that_somebody_asked_for() {
    let websub = || with(Handshake::hub_topics());
    let (wanted, left) = ("https://blog.example/feed?a=1", "https://old.example/feed");
    let topics = websub().with_hub_topics([wanted]).unwrap().with_hub_topics_to_leave([left]).unwrap();
    let receiver = Receiver::new(topics);
    let encoded =
        |topic: &str| topic.replace('?', "%3F").replace('=', "%3D").replace(':', "%3A").replace('/', "%2F");
    let ask = |mode: &str, topic: &str| {
        get(&format!(
            "hub.mode={mode}&hub.topic={}&hub.challenge=kq1p&hub.lease_seconds=864000",
            encoded(topic)
        ))
    };
    answers(&receiver, ask("subscribe", wanted), TEXT, "kq1p").await;
    answers(&receiver, ask("unsubscribe", left), TEXT, "kq1p").await;
    for topic in [wanted, left] {
        answers(&receiver, ask("denied", topic), None, "").await;
    }
    let unknown = ["", "https://blog.example/feed", "https://BLOG.example/feed?a=1", "https://spam.example/"];
    for (mode, topic) in unknown.map(|topic| ("subscribe", topic)).into_iter().chain([
        ("subscribe", left),
        ("unsubscribe", wanted),
        ("unsubscribe", "https://spam.example/"),
        ("denied", "https://spam.example/"),
    ]) {
        receiver.turns_away(ask(mode, topic), StatusCode::NOT_FOUND, R::UnknownTopic).await;
    }
    for query in [
        format!("hub.mode=subscribe&hub.topic={}", encoded(wanted)),
        format!("hub.mode=subscribe&hub.topic={0}&hub.topic={0}&hub.challenge=a", encoded(wanted)),
        format!("hub.mode=subscribe&hub.topic={}&hub.challenge=a&hub.challenge=a", encoded(wanted)),
        format!("hub.mode=publish&hub.topic={}&hub.challenge=a", encoded(wanted)),
    ] {
        receiver.turns_away(get(&query), StatusCode::BAD_REQUEST, R::HandshakeMalformed).await;
    }
    let unconfigured = Receiver::new(websub());
    assert!(unconfigured.layer.warnings().contains(&ConfigWarning::HandshakeWithoutCheck));
    for mode in ["subscribe", "unsubscribe", "denied"] {
        unconfigured.turns_away(ask(mode, wanted), StatusCode::NOT_FOUND, R::UnknownTopic).await;
        let without_topic = get(&format!("hub.mode={mode}&hub.challenge=a"));
        unconfigured.turns_away(without_topic, StatusCode::NOT_FOUND, R::UnknownTopic).await;
    }
}

#[tokio::test]
async fn an_origin_is_allowed_where_it_is_listed() {
    let options = |origins: &[&'static str]| {
        let mut request = request(Method::OPTIONS, "/");
        for origin in origins {
            request.headers_mut().append("webhook-request-origin", HeaderValue::from_static(origin));
        }
        request
    };
    let rate = 120.try_into().unwrap();
    let listed =
        Receiver::new(with(Handshake::origins(["a.example", "eventgrid.azure.net"]).with_rate(rate)));
    let any = Receiver::new(with(Handshake::any_origin()));
    for (receiver, sent, allowed, rate) in [
        (&listed, "eventgrid.azure.net", "eventgrid.azure.net", "120"),
        (&listed, "A.Example", "a.example", "120"),
        (&any, "anything.example", "*", "*"),
    ] {
        let answer = receiver.send(options(&[sent])).await;
        assert_eq!((answer.status(), accepted(&answer)), (StatusCode::OK, Some(Accepted::Handshake)));
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(
            ["webhook-allowed-origin", "webhook-allowed-rate", "allow"].map(header),
            [allowed, rate, "POST"]
        );
        assert_eq!(text(answer).await, "");
    }
    for origin in ["b.example", "", "*", "eventgrid.azure.net.evil.example"] {
        let refused = listed.turns_away(options(&[origin]), StatusCode::FORBIDDEN, R::HandshakeRefused).await;
        assert!(refused.headers().is_empty());
    }
    let twice = options(&["a.example", "a.example"]);
    listed.turns_away(twice, StatusCode::BAD_REQUEST, R::HandshakeMalformed).await;
    // A browser's preflight is none.
    listed.turns_away(options(&[]), StatusCode::METHOD_NOT_ALLOWED, R::MethodNotAllowed).await;
}

/// A handshake is answered though nobody handles anything, and an inner service does not see it.
#[tokio::test]
async fn nobody_else_is_asked() {
    let body = r#"{"type":"url_verification","challenge":"abc"}"#;
    let mut receiver = Receiver::new(slack());
    receiver.layer = receiver.layer.with_dispatch(EventRouter::new());
    answers(&receiver, signed(&slack(), body), JSON, r#"{"challenge":"abc"}"#).await;

    let receiver = Receiver::new(acme(Handshake::echo_query("challenge")).build().unwrap());
    let inner = service_fn(|request: Request<Body>| async move {
        assert_eq!(request.method(), Method::POST);
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"inner"))))
    });
    let service = receiver.layer.clone().with_dispatch(EventRouter::new()).layer(inner);
    let answer = service.clone().oneshot(get("challenge=abc")).await.unwrap();
    assert_eq!((accepted(&answer), receiver.store_calls()), (Some(Accepted::Handshake), 0));
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "abc");
    let provider = with(Handshake::echo_query("challenge"));
    let answer = service.oneshot(signed(&provider, r#"{"id":"e-1","type":"t"}"#)).await.unwrap();
    assert_eq!(accepted(&answer), Some(Accepted::Forwarded));
}

#[tokio::test]
async fn the_table_of_answers_has_no_row_for_what_is_answered() {
    let teapot = |rows: &[Answer]| {
        rows.iter().fold(Answers::default(), |answers, row| {
            answers.with_status(*row, StatusCode::IM_A_TEAPOT).unwrap()
        })
    };
    let mut receiver = Receiver::new(with(Handshake::echo_query("challenge")));
    receiver.layer =
        receiver.layer.with_answers(teapot(&[Answer::Done, Answer::Duplicate, Answer::Unhandled]));
    answers(&receiver, get("challenge=abc"), TEXT, "abc").await;
    receiver.layer = receiver.layer.with_answers(teapot(&[Answer::HandshakeMalformed]));
    receiver.turns_away(get("challenge="), StatusCode::IM_A_TEAPOT, R::HandshakeMalformed).await;
}

/// Behind axum's method routers, which send a GET to the fallback of the route that the layer is around.
#[tokio::test]
async fn a_route_of_axum_passes_handshakes_on() {
    use axum::Router;
    use axum::routing::post;

    let provider = || with(Handshake::echo_query("challenge"));
    let layer = || WebhookLayer::new(provider(), secret()).unwrap();
    let app = Router::new()
        .route("/around", post(async || "inner").layer(layer()))
        .route_service("/alone", layer().with_dispatch(EventRouter::new()).into_service());
    for path in ["/around", "/alone"] {
        let request = request(Method::GET, &format!("{path}?challenge=abc"));
        let answer = app.clone().oneshot(request.map(axum::body::Body::new)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "abc");
    }
}

#[test]
fn what_contradicts_itself_does_not_build() {
    let problem = |builder: ProviderBuilder| match builder.build() {
        Err(ConfigError::InvalidHandshake { problem }) => problem,
        other => panic!("{other:?}"),
    };
    let challenge = || Handshake::challenge("/type", "ping", "/challenge");
    assert!(problem(acme(Handshake::echo_query(""))).contains("no name"));
    assert!(problem(acme(Handshake::origins([""]))).contains("origin"));
    assert!(problem(acme(Handshake::origins(["a\nb"]))).contains("origin"));
    assert!(problem(acme(Handshake::origins([""; 0]))).contains("no origin"));
    assert!(problem(acme(Handshake::constant("/type", Value::Null, 1))).contains("string, a number"));
    assert!(problem(acme(Handshake::constant("/type", json!([1]), 1))).contains("string, a number"));
    assert!(problem(acme(Handshake::echo_query("a").in_member("b"))).contains("in_member"));
    assert!(problem(acme(challenge().with_rate(1.try_into().unwrap()))).contains("with_rate"));
    for (one, other) in [
        (challenge(), Handshake::constant("/type", "ping", 1)),
        (Handshake::echo_query("a"), Handshake::echo_query("a")),
        (Handshake::hub_topics(), Handshake::hub_verify_token()),
        (Handshake::head(), Handshake::head()),
        (Handshake::any_origin(), Handshake::origins(["a.example"])),
    ] {
        assert!(problem(acme(one).handshake(other)).contains("same request"));
    }
    assert!(acme(challenge()).handshake(Handshake::challenge("/type", "pong", "/challenge")).build().is_ok());
    let name = acme(Handshake::challenge_by_header("a b", "c", "/d")).build().unwrap_err();
    assert_eq!(name, ConfigError::InvalidHeaderName { name: "a b".to_owned() });
    let path = acme(Handshake::empty_list("events")).build().unwrap_err();
    assert!(matches!(path, ConfigError::InvalidPath { .. }), "{path:?}");

    let unsigned =
        SignatureScheme::hmac_sha256("s").with_signed([Part::literal("a")]).dangerous_body_not_signed();
    assert!(problem(acme(challenge()).signature(unsigned)).contains("not signed"));
    assert!(caspay::provider().with_verify_token(secret()).is_err());
    assert!(caspay::provider().with_hub_topics(["a"]).is_err());
    assert!(with(Handshake::hub_verify_token()).with_hub_topics_to_leave(["a"]).is_err());
}

/// A token is signed only where no token can be what the scheme signs.
#[test]
fn a_scheme_without_a_colon_signs_no_tokens() {
    let build = |scheme: SignatureScheme| {
        Provider::builder("acme")
            .signature(scheme)
            .handshake(Handshake::sign_token("/event", "v", "/t"))
            .build()
    };
    let parts = || [Part::literal("v0:"), Part::Body];
    assert!(build(SignatureScheme::hmac_sha256("s").with_signed(parts())).is_ok());
    for scheme in [
        SignatureScheme::hmac_sha256("s"),
        SignatureScheme::hmac_sha256("s").with_signed([Part::literal("v0."), Part::Body]),
        SignatureScheme::hmac_sha1("s").with_signed(parts()),
        SignatureScheme::hmac_sha512("s").with_signed(parts()).with_encoding(Encoding::Base64),
    ] {
        assert!(matches!(build(scheme), Err(ConfigError::InvalidHandshake { .. })));
    }
}
