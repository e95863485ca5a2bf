//! Mounted on axum: around a router, around a route, and alone.

use axum::Router;
use axum::routing::{get, post};
use http::{Request, StatusCode};
use tower::ServiceExt as _;
use tower_webhook::{Body, Delivery, EventRouter, WebhookLayer, caspay};

use crate::stage::{DUPLICATE, HANDLED, verdict};
use crate::support::{Calls, Receiver, caspay_body, from_caspay, secrets};

fn to(path: &'static str, id: &str) -> Request<Body> {
    let mut request = from_caspay(caspay_body(id));
    *request.uri_mut() = path.parse().unwrap();
    request
}

async fn send(app: &Router, request: Request<Body>) -> (u16, &'static str) {
    verdict(&app.clone().oneshot(request).await.unwrap())
}

fn health() -> Request<Body> {
    Request::get("/health").body(Body::default()).unwrap()
}

#[tokio::test]
async fn around_a_router_it_guards_every_route() {
    let layer = WebhookLayer::new(caspay::provider(), secrets()).unwrap();
    let app = Router::new()
        .route("/hook", post(async |delivery: Delivery| delivery.id().to_owned()))
        .route("/health", get(async || "fine"))
        .layer(layer);
    assert_eq!(send(&app, to("/hook", "evt_1")).await, (200, "forwarded"));
    assert_eq!(send(&app, to("/hook", "evt_1")).await, DUPLICATE);
    let response = app.clone().oneshot(health()).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
    );
    assert_eq!(send(&app, to("/elsewhere", "evt_2")).await, (404, "inner_refused"));
}

#[tokio::test]
async fn around_a_route_it_leaves_the_others_alone() {
    let calls = Calls::default();
    let paid = calls.clone();
    let events = EventRouter::new().on_type("payment.completed", move |_: serde_json::Value| {
        paid.add();
        async {}
    });
    let layer = WebhookLayer::new(caspay::provider(), secrets()).unwrap().with_dispatch(events);
    let app = Router::new()
        .route("/hook", post(async || StatusCode::ACCEPTED).layer(layer))
        .route("/health", get(async || "fine"));
    assert_eq!(send(&app, to("/hook", "evt_1")).await, HANDLED);
    assert_eq!(send(&app, health()).await, (200, "nothing"));
    let other = from_caspay(caspay_body("evt_2").replace("payment.completed", "payment.other"));
    let (mut parts, body) = other.into_parts();
    parts.uri = "/hook".parse().unwrap();
    assert_eq!(
        send(&app, Request::from_parts(parts, body)).await,
        (202, "forwarded"),
        "what no handler takes"
    );
    assert_eq!(calls.count(), 1);
}

#[tokio::test]
async fn alone_it_is_a_route_by_itself() {
    let receiver = Receiver::new(caspay::provider());
    let app = Router::new()
        .route_service("/hook", receiver.layer.clone().into_service())
        .nest("/v1", Router::new().route_service("/hook", receiver.layer.clone().into_service()));
    assert_eq!(send(&app, to("/hook", "evt_1")).await, HANDLED);
    assert_eq!(send(&app, to("/v1/hook", "evt_1")).await, DUPLICATE, "clones share what they remember");
    assert_eq!(receiver.calls.count(), 1);
    let unsigned = Request::post("/hook").body(Body::default()).unwrap();
    assert_eq!(send(&app, unsigned).await, (401, "missing_header"));
}

#[tokio::test]
async fn an_extractor_without_the_layer_is_our_fault_not_the_senders() {
    let app = Router::new().route("/hook", post(async |_: Delivery| ()));
    assert_eq!(send(&app, to("/hook", "evt_1")).await, (500, "nothing"));
}

/// A handler that fails answers for itself, and the claim is given back.
#[tokio::test]
async fn a_route_that_fails_is_asked_again() {
    let calls = Calls::default();
    let failing = calls.clone();
    let app = Router::new().route(
        "/hook",
        post(async move || {
            failing.add();
            StatusCode::INTERNAL_SERVER_ERROR
        })
        .layer(WebhookLayer::new(caspay::provider(), secrets()).unwrap()),
    );
    for count in 1..=2 {
        assert_eq!(send(&app, to("/hook", "evt_1")).await, (500, "inner_refused"));
        assert_eq!(calls.count(), count);
    }
}
