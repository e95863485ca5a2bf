//! The whole service against a bare axum handler that reads the body and parses one typed struct:
//! `cargo bench --bench pipeline`.
//!
//! Every request has an id and a body of its own, made outside of the time.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss)]

mod common;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use common::{Subject, measure, print};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Full;
use serde::Deserialize;
use tower::Service;
use tower_webhook::testing::SignedRequest;
use tower_webhook::{Event, EventRouter, LruStore, Secret, WebhookLayer, casapay};

/// Committed events of exactly 1 KiB and 16 KiB, with a place for the id.
const EVENTS: [&str; 2] = [include_str!("event_1k.json"), include_str!("event_16k.json")];
const ID: &str = "evt_XXXXXXXXXXXX";
const SECRET: &str = "whsec_a-signing-secret-for-benchmarks";
const ROUNDS: usize = 801;
/// Few enough to stay in the cache, where a server would just have put a request.
const REQUESTS: usize = 24;

/// The payload, every member typed.
#[derive(Deserialize)]
#[allow(dead_code, reason = "parsed, which is what is measured")]
struct Intent {
    id: String,
    object: String,
    amount: u64,
    currency: String,
    status: String,
    customer: String,
    payment_method: String,
    description: String,
    statement_descriptor: String,
    receipt_email: String,
    metadata: BTreeMap<String, String>,
    amount_received: u64,
    application_fee_amount: u64,
    capture_method: String,
    confirmation_method: String,
    latest_charge: String,
    created: u64,
    transfer_group: String,
    #[serde(default)]
    lines: Vec<Line>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "parsed, which is what is measured")]
struct Line {
    id: String,
    description: String,
    amount: u64,
    currency: String,
    quantity: u64,
    proration: bool,
    period: Period,
    tax_rate: String,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "parsed, which is what is measured")]
struct Period {
    start: u64,
    end: u64,
}

impl Event for Intent {
    const TYPE: &'static str = "payment_intent.succeeded";
}

/// The whole event, as the bare handler types it.
#[derive(Deserialize)]
#[allow(dead_code, reason = "parsed, which is what is measured")]
struct Whole {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    created: u64,
    data: Data,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "parsed, which is what is measured")]
struct Data {
    object: Intent,
}

type Requests = Vec<Request<Full<Bytes>>>;

thread_local! {
    static NEXT_ID: Cell<u64> = const { Cell::new(0) };
}

/// An event with an id that was never there.
fn body(event: &str) -> Bytes {
    let id = NEXT_ID.replace(NEXT_ID.get() + 1);
    event.replace(ID, &format!("evt_{id:012}")).into()
}

/// The headers of a delivery of `body`.
fn signed(body: Bytes) -> HeaderMap {
    let (secret, length) = (Secret::new(SECRET).unwrap(), body.len());
    let request = SignedRequest::new(&casapay::provider(), &secret, body).build();
    let mut headers = request.headers().clone();
    headers.insert("content-length", length.into());
    headers.insert("user-agent", HeaderValue::from_static("CasaPay/1.0"));
    headers.insert("accept", HeaderValue::from_static("*/*"));
    headers.insert("host", HeaderValue::from_static("hooks.example.test"));
    headers
}

fn requests(event: &str, change: impl Fn(Bytes, &mut HeaderMap) -> Bytes) -> Requests {
    let request = |_| {
        let body = body(event);
        let mut headers = signed(body.clone());
        let body = change(body, &mut headers);
        let mut request = Request::post("/").body(Full::new(body)).unwrap();
        *request.headers_mut() = headers;
        request
    };
    (0..REQUESTS).map(request).collect()
}

fn unchanged(body: Bytes, _: &mut HeaderMap) -> Bytes {
    body
}

/// Calls a service that never has to wait, and wants one status.
fn calling<'a, S, RB>(mut service: S, status: StatusCode) -> impl FnMut(Request<Full<Bytes>>) + 'a
where
    S: Service<Request<Full<Bytes>>, Response = Response<RB>, Error = Infallible> + 'a,
{
    move |request| {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        match pin!(service.call(request)).poll(&mut cx) {
            Poll::Ready(Ok(response)) => assert_eq!(response.status(), status),
            Poll::Pending => panic!("nothing here has to wait"),
        }
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let handled = Arc::new(AtomicUsize::new(0));
    let layer = || {
        let handled = Arc::clone(&handled);
        let events = EventRouter::new().on(move |intent: Intent| {
            handled.fetch_add(1, Ordering::Relaxed);
            std::hint::black_box(intent);
            async {}
        });
        WebhookLayer::new(casapay::provider(), Secret::new(SECRET).unwrap())
            .unwrap()
            .with_store(LruStore::new(100_000))
            .with_dispatch(events)
    };
    let bare = |handled: Arc<AtomicUsize>| {
        Router::new().route(
            "/",
            post(async move |body: Bytes| {
                let whole: Whole = serde_json::from_slice(&body).unwrap();
                handled.fetch_add(1, Ordering::Relaxed);
                std::hint::black_box(whole);
                StatusCode::OK
            }),
        )
    };
    for (event, name, goals) in [
        (EVENTS[0], "1 KiB", [1.15, 1.45, 0.77, 0.58, 0.32]),
        (EVENTS[1], "16 KiB", [1.15, 1.45, 0.30, 0.27, 0.03]),
    ] {
        let [new, routed, duplicate, wrong, missing] = goals;
        let bare_handled = Arc::new(AtomicUsize::new(0));
        let (plain, quiet) = (layer(), layer().without_reason_extensions());
        let router = Router::new().route_service("/", layer().into_service());
        let around = Router::new().route("/", post(async || StatusCode::OK).layer(layer()));
        let duplicates = requests(event, unchanged);
        let mut seen = calling(plain.clone().into_service(), StatusCode::OK);
        duplicates.iter().cloned().for_each(&mut seen);
        let flip = |body: Bytes, _: &mut HeaderMap| {
            let mut flipped = body.to_vec();
            flipped[100] ^= 1;
            flipped.into()
        };
        let strip = |body, headers: &mut HeaderMap| {
            headers.remove("x-casapay-signature");
            body
        };
        let before = handled.load(Ordering::Relaxed);
        let subjects = vec![
            Subject::new(
                "bare axum handler: Bytes, one typed parse",
                None,
                || requests(event, unchanged),
                calling(bare(Arc::clone(&bare_handled)), StatusCode::OK),
            ),
            Subject::new(
                "new event, plain service",
                Some(new),
                || requests(event, unchanged),
                calling(plain.clone().into_service(), StatusCode::OK),
            ),
            Subject::new(
                "new event, `route_service` of an axum Router",
                Some(routed),
                || requests(event, unchanged),
                calling(router, StatusCode::OK),
            ),
            Subject::new(
                "new event, layer around an axum handler",
                Some(routed),
                || requests(event, unchanged),
                calling(around, StatusCode::OK),
            ),
            Subject::new(
                "duplicate of a done event",
                Some(duplicate),
                || duplicates.clone(),
                calling(plain.clone().into_service(), StatusCode::OK),
            ),
            Subject::new(
                "wrong MAC: one bit of the body flipped",
                Some(wrong),
                || requests(event, flip),
                calling(plain.clone().into_service(), StatusCode::UNAUTHORIZED),
            ),
            Subject::new(
                "no signature header, body unread",
                Some(missing),
                || requests(event, strip),
                calling(plain.clone().into_service(), StatusCode::UNAUTHORIZED),
            ),
            Subject::new(
                "no signature header, without reason extensions",
                Some(missing),
                || requests(event, strip),
                calling(quiet.into_service(), StatusCode::UNAUTHORIZED),
            ),
        ];
        let measured = measure(ROUNDS, subjects);
        // A benchmark that took a duplicate or a refusal for a new event would be worthless.
        let iterations = (ROUNDS + common::WARM_UP) * REQUESTS;
        assert_eq!(bare_handled.load(Ordering::Relaxed), iterations);
        assert_eq!(handled.load(Ordering::Relaxed) - before, 3 * iterations);
        print(&format!("pipeline {name}"), &measured);
    }
}
