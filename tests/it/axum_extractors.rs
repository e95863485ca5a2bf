//! Behind the layer in an axum router: extractors, state, and every way to mount.

use std::sync::{Arc, Mutex};

use axum::extract::{FromRef, FromRequestParts as _, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tower_webhook::axum::{Verified, VerifiedRejection};
use tower_webhook::testing::faulty::Operation;
use tower_webhook::testing::{SignedRequest, delivery};
use tower_webhook::{Accepted, Body, Delivery, EventRouter, Provider, RejectionReason as R, casapay, caspay};

use crate::support::{
    Calls, NOW, Receiver, accepted, casapay_body, caspay_body, from_casapay, from_caspay, reason, secret,
};

use caspay::events::PaymentCompleted;

/// A receiver whose every event goes to the inner service.
fn receiver() -> Receiver {
    let mut receiver = Receiver::new(caspay::provider());
    receiver.layer = receiver.layer.with_dispatch(EventRouter::new());
    receiver
}

async fn send(app: &Router, request: Request<Body>) -> Response<axum::body::Body> {
    app.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response<axum::body::Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// A signed CasPay event sent to a path.
fn to(path: &str, body: impl Into<Bytes>) -> Request<Body> {
    SignedRequest::new(&caspay::provider(), &secret(), body).with_uri(path).build()
}

fn unsigned(method: Method, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::default()).unwrap()
}

/// An event whose payload is not that of its type.
fn unfit(id: &str) -> String {
    caspay_body(id).replace(r#""amount":100000000000"#, r#""amount":"a lot""#)
}

#[tokio::test]
async fn both_extractors_see_the_event() {
    async fn hook(delivery: Delivery, Verified(event): Verified<PaymentCompleted>) -> String {
        let (id, scope, secret) = (delivery.id(), delivery.scope(), delivery.secret_label());
        format!("{id} {scope} {secret:?} {} {}", event.payment.id, event.payment.amount)
    }
    let app = Router::new().route("/", post(hook).layer(receiver().layer));
    let response = send(&app, from_caspay(caspay_body("evt_1"))).await;
    assert_eq!((response.status(), accepted(&response)), (StatusCode::OK, Some(Accepted::Forwarded)));
    assert_eq!(text(response).await, r#"evt_1 caspay Some("current") pay_1 100000000000"#);
}

#[tokio::test]
async fn verified_reads_the_part_that_the_envelope_names() {
    async fn hook(Verified(payload): Verified<serde_json::Value>) -> String {
        payload["object"].as_str().unwrap().to_owned()
    }
    let mut receiver = Receiver::new(casapay::provider());
    receiver.layer = receiver.layer.with_dispatch(EventRouter::new());
    let app = Router::new().route("/", post(hook).layer(receiver.layer));
    let response = send(&app, from_casapay(casapay_body("evt_1", "payment_intent.succeeded"))).await;
    assert_eq!(text(response).await, "payment_intent", "not `event`, which stands around it");
}

#[tokio::test]
async fn a_payload_that_does_not_fit_releases_the_claim() {
    let (receiver, calls) = (receiver(), Calls::default());
    let counted = calls.clone();
    let hook = async move |Verified(_): Verified<PaymentCompleted>| counted.add();
    let app = Router::new().route("/", post(hook).layer(receiver.layer.clone()));
    for attempt in 1..=2 {
        let response = send(&app, from_caspay(unfit("evt_1"))).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(reason(&response), Some(R::InnerRefused), "never a duplicate");
        assert_eq!(text(response).await, "", "nothing of the payload");
        let store = [Operation::Complete, Operation::Release].map(|what| receiver.store.calls(what));
        assert_eq!(store, [0, attempt]);
    }
    assert_eq!(calls.count(), 0);
    let response = send(&app, from_caspay(caspay_body("evt_1"))).await;
    assert_eq!((response.status(), calls.count()), (StatusCode::OK, 1), "the retry runs");
    let response = send(&app, from_caspay(caspay_body("evt_1"))).await;
    assert_eq!((accepted(&response), calls.count()), (Some(Accepted::Duplicate), 1));
}

#[tokio::test]
async fn without_the_layer_there_is_nothing_verified() {
    async fn with_delivery(_: Delivery) {}
    async fn with_payload(_: Verified<serde_json::Value>) {}
    let app = Router::new().route("/delivery", post(with_delivery)).route("/payload", post(with_payload));
    for path in ["/delivery", "/payload"] {
        let response = send(&app, to(path, caspay_body("evt_1"))).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert_eq!(text(response).await, "");
    }
}

#[tokio::test]
async fn a_rejection_tells_which_it_is() {
    let mut parts = from_caspay(caspay_body("evt_1")).into_parts().0;
    let unmounted = Delivery::from_request_parts(&mut parts, &()).await.unwrap_err();
    assert!(unmounted.is_unmounted());
    assert!(unmounted.to_string().contains("WebhookLayer"), "{unmounted}");
    let unmounted = Verified::<PaymentCompleted>::from_request_parts(&mut parts, &()).await.unwrap_err();
    assert!(unmounted.is_unmounted());

    parts.extensions.insert(delivery(&caspay::provider(), unfit("evt_1")).unwrap());
    let unfit = Verified::<PaymentCompleted>::from_request_parts(&mut parts, &()).await.unwrap_err();
    assert!(!unfit.is_unmounted());
    assert!(unfit.to_string().starts_with("the payload does not fit the type"), "{unfit}");
    assert!(!unfit.to_string().contains("a lot"), "a log must not hold the payload: {unfit}");
    let found = Delivery::from_request_parts(&mut parts, &()).await.unwrap();
    assert_eq!(found.id(), "evt_1");
}

/// A handler that takes the rejection decides for itself.
#[tokio::test]
async fn a_handler_may_take_the_rejection() {
    async fn hook(event: Result<Verified<PaymentCompleted>, VerifiedRejection>) -> StatusCode {
        event.map_or(StatusCode::ACCEPTED, |_| StatusCode::CREATED)
    }
    let app = Router::new().route("/", post(hook).layer(receiver().layer));
    for (body, status) in [(unfit("evt_1"), 202), (caspay_body("evt_2"), 201)] {
        let response = send(&app, from_caspay(body)).await;
        assert_eq!((response.status().as_u16(), accepted(&response)), (status, Some(Accepted::Forwarded)));
    }
}

/// What an application shares with its handlers.
#[derive(Clone)]
struct App {
    ledger: Ledger,
    name: &'static str,
}

#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<Vec<String>>>);

impl Ledger {
    fn book(&self, entry: String) {
        self.0.lock().unwrap().push(entry);
    }

    fn entries(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl FromRef<App> for Ledger {
    fn from_ref(app: &App) -> Self {
        app.ledger.clone()
    }
}

/// One state for both routers, and axum's `State` and `FromRef` in both.
#[tokio::test]
async fn axums_state_in_event_handlers() {
    async fn on_paid(event: PaymentCompleted, State(app): State<App>, State(ledger): State<Ledger>) {
        ledger.book(format!("{}: {}", app.name, event.payment.id));
    }
    async fn on_other(delivery: Delivery, State(ledger): State<Ledger>) {
        ledger.book(delivery.event_type().to_owned());
    }
    async fn status(State(ledger): State<Ledger>) -> String {
        ledger.entries().len().to_string()
    }
    let state = App { ledger: Ledger::default(), name: "shop" };
    let events = EventRouter::new().on(on_paid).fallback(on_other).with_state(state.clone());
    let webhook = receiver().layer.with_dispatch(events).into_service();
    let app: Router =
        Router::new().route_service("/hook", webhook).route("/status", get(status)).with_state(state.clone());
    for body in [caspay_body("evt_1"), caspay_body("evt_2").replace("payment.completed", "payment.failed")] {
        let response = send(&app, to("/hook", body)).await;
        assert_eq!((response.status(), accepted(&response)), (StatusCode::OK, Some(Accepted::Handled)));
    }
    assert_eq!(state.ledger.entries(), ["shop: pay_1", "payment.failed"]);
    assert_eq!(text(send(&app, unsigned(Method::GET, "/status")).await).await, "2");
}

async fn hook() -> &'static str {
    "hooked"
}

async fn health() -> &'static str {
    "healthy"
}

/// The layer stands around all that the router has at that point: a health check is refused, too.
#[tokio::test]
async fn a_router_layer_guards_everything() {
    let receiver = receiver();
    let routes = || Router::new().route("/hook", post(hook)).route("/health", get(health));
    let guarded = routes().layer(receiver.layer.clone());
    let response = send(&guarded, unsigned(Method::GET, "/health")).await;
    assert_eq!(
        (response.status(), reason(&response)),
        (StatusCode::METHOD_NOT_ALLOWED, Some(R::MethodNotAllowed))
    );
    assert_eq!(response.headers()[ALLOW], "POST");
    for path in ["/hook", "/nowhere"] {
        let response = send(&guarded, unsigned(Method::POST, path)).await;
        assert_eq!(
            (response.status(), reason(&response)),
            (StatusCode::UNAUTHORIZED, Some(R::MissingHeader))
        );
    }
    assert_eq!(text(send(&guarded, to("/hook", caspay_body("evt_1"))).await).await, "hooked");
    // Where no route is, nothing was done.
    let response = send(&guarded, to("/nowhere", caspay_body("evt_2"))).await;
    assert_eq!((response.status(), reason(&response)), (StatusCode::NOT_FOUND, Some(R::InnerRefused)));

    // Routes that are added after the layer, and other methods' routers, are not guarded.
    let beside = Router::new().route("/hook", post(hook)).layer(receiver.layer).route("/health", get(health));
    assert_eq!(text(send(&beside, unsigned(Method::GET, "/health")).await).await, "healthy");
    let response = send(&beside, unsigned(Method::POST, "/hook")).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_method_router_layer_guards_its_route_alone() {
    let receiver = receiver();
    let app = Router::new()
        .route("/hook", post(hook).layer(receiver.layer.clone()))
        .route("/health", get(health).post(health));
    for method in [Method::GET, Method::POST] {
        assert_eq!(text(send(&app, unsigned(method, "/health")).await).await, "healthy");
    }
    assert_eq!(text(send(&app, to("/hook", caspay_body("evt_1"))).await).await, "hooked");
    let response = send(&app, unsigned(Method::POST, "/hook")).await;
    assert_eq!((response.status(), reason(&response)), (StatusCode::UNAUTHORIZED, Some(R::MissingHeader)));
    let response = send(&app, unsigned(Method::GET, "/hook")).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(receiver.stats().rejected(R::MissingHeader), 1);
}

#[tokio::test]
async fn a_route_service_and_an_inner_service_share_a_layer() {
    let receiver = Receiver::new(caspay::provider());
    let app = Router::new()
        .route_service("/service", receiver.layer.clone().into_service())
        .route("/around", post(hook).layer(receiver.layer.clone().with_dispatch(EventRouter::new())));
    let response = send(&app, to("/service", caspay_body("evt_1"))).await;
    assert_eq!((response.status(), accepted(&response)), (StatusCode::OK, Some(Accepted::Handled)));
    assert_eq!(text(response).await, "");
    // The URL is not part of an event's identity: clones of a layer share their store.
    let response = send(&app, to("/around", caspay_body("evt_1"))).await;
    assert_eq!((accepted(&response), receiver.calls.count()), (Some(Accepted::Duplicate), 1));
}

#[tokio::test]
async fn nested_routers_with_a_provider_each() {
    let (caspay, casapay) = (Receiver::new(caspay::provider()), Receiver::new(casapay::provider()));
    let webhooks = Router::new()
        .route_service("/caspay", caspay.layer.clone().into_service())
        .nest("/eu", Router::new().route_service("/casapay", casapay.layer.clone().into_service()));
    let app = Router::new().route("/", get(health)).nest("/webhooks", webhooks);

    let from_casapay = |path: &str| {
        let body = casapay_body("evt_1", "invoice.paid");
        SignedRequest::new(&casapay::provider(), &secret(), body).at_unix(NOW).with_uri(path).build()
    };
    let response = send(&app, to("/webhooks/caspay", caspay_body("evt_1"))).await;
    assert_eq!(accepted(&response), Some(Accepted::Handled));
    let response = send(&app, from_casapay("/webhooks/eu/casapay")).await;
    assert_eq!(accepted(&response), Some(Accepted::Handled), "one id, two providers");
    assert_eq!((caspay.calls.count(), casapay.calls.count()), (1, 1));
    // What is sent to the wrong door does not get in.
    let response = send(&app, from_casapay("/webhooks/caspay")).await;
    assert_eq!((response.status(), reason(&response)), (StatusCode::UNAUTHORIZED, Some(R::MissingHeader)));
    assert_eq!(send(&app, unsigned(Method::POST, "/webhooks")).await.status(), StatusCode::NOT_FOUND);
}

/// Behind the layer the request is as it came, to the last byte and header.
#[tokio::test]
async fn the_inner_request_is_intact() {
    async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> (HeaderMap, Bytes) {
        assert_eq!((method, uri.to_string().as_str()), (Method::POST, "/hook?attempt=2"));
        (HeaderMap::from_iter([(CONTENT_TYPE, headers[CONTENT_TYPE].clone())]), body)
    }
    let app = Router::new().route("/hook", post(echo).layer(receiver().layer));
    // White space, escapes and an order of keys that no serialiser would give back.
    let body = format!("\n\t{} \r\n", caspay_body("evt_1").replace("order_456", r"\u00e9\/ é"));
    let response = send(&app, to("/hook?attempt=2", body.clone())).await;
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    assert_eq!(text(response).await, body);
}

#[tokio::test]
async fn the_delivery_holds_the_bytes_of_the_body() {
    async fn hook(delivery: Delivery, body: Bytes) -> StatusCode {
        let same = delivery.body() == &body && delivery.body().as_ptr() == body.as_ptr();
        if same { StatusCode::OK } else { StatusCode::CONFLICT }
    }
    let app = Router::new().route("/", post(hook).layer(receiver().layer));
    assert_eq!(send(&app, from_caspay(caspay_body("evt_1"))).await.status(), StatusCode::OK, "not copied");
}

#[tokio::test]
async fn the_signature_is_sensitive_behind_the_layer() {
    async fn hook(headers: HeaderMap, delivery: Delivery) -> String {
        let seen = [&headers, delivery.headers()].map(|headers| {
            let signature = &headers["x-caspay-signature"];
            assert_eq!(signature.len(), 64, "it is all there");
            format!("{signature:?} {:?}", headers[CONTENT_TYPE])
        });
        seen.join(" ")
    }
    let app = Router::new().route("/", post(hook).layer(receiver().layer));
    let response = send(&app, from_caspay(caspay_body("evt_1"))).await;
    assert_eq!(text(response).await, r#"Sensitive "application/json" Sensitive "application/json""#);
}

#[tokio::test]
async fn axums_own_json_reads_the_forwarded_body() {
    #[derive(serde::Deserialize)]
    struct Envelope {
        id: String,
        data: PaymentCompleted,
    }
    async fn hook(delivery: Delivery, Json(envelope): Json<Envelope>) -> String {
        assert_eq!(delivery.id(), envelope.id);
        envelope.data.payment.id
    }
    let app = Router::new().route("/", post(hook).layer(receiver().layer));
    assert_eq!(text(send(&app, from_caspay(caspay_body("evt_1"))).await).await, "pay_1");
}

/// Which events go where: a handler for the type first, then the inner handler.
#[tokio::test]
async fn what_no_event_handler_takes_goes_to_the_inner_handler() {
    async fn inner(delivery: Delivery) -> String {
        delivery.event_type().to_owned()
    }
    let mut receiver = receiver();
    receiver.layer = receiver.layer.with_dispatch(EventRouter::new().on(async |_: PaymentCompleted| ()));
    let app = Router::new().route("/", post(inner).layer(receiver.layer.clone()));
    let response = send(&app, from_caspay(caspay_body("evt_1"))).await;
    assert_eq!((accepted(&response), text(response).await.as_str()), (Some(Accepted::Handled), ""));
    let other = caspay_body("evt_2").replace("payment.completed", "payment.failed");
    let response = send(&app, from_caspay(other)).await;
    assert_eq!(accepted(&response), Some(Accepted::Forwarded));
    assert_eq!(text(response).await, "payment.failed");
}

/// Extensions that layers around put in reach the inner handler.
#[tokio::test]
async fn extensions_of_the_request_reach_the_inner_handler() {
    #[derive(Clone)]
    struct RequestId(u64);
    async fn hook(axum::Extension(id): axum::Extension<RequestId>, delivery: Delivery) -> String {
        format!("{} {}", id.0, delivery.provider())
    }
    let provider: Provider = caspay::provider();
    let app =
        Router::new().route("/", post(hook).layer(receiver().layer)).layer(axum::Extension(RequestId(7)));
    assert_eq!(
        text(send(&app, from_caspay(caspay_body("evt_1"))).await).await,
        format!("7 {}", provider.name())
    );
}
