//! An inner service behind the layer: what it is given, and what its answer means for the claim.

use std::convert::Infallible;
use std::future::pending;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::time::Instant;
use tower::limit::ConcurrencyLimitLayer;
use tower::{BoxError, Layer as _, Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_webhook::testing::faulty::Operation;
use tower_webhook::{Body, Delivery, EventRouter};

use crate::stage::{
    DUPLICATE, HANDLED, IN_FLIGHT, RESPOND_BY_PASSED, SECOND, Stage, Verdict, timing, verdict,
};
use crate::support::{Calls, caspay_body, from_caspay};

/// A stage whose dispatch takes nothing, so that everything goes on to the inner service.
fn stage() -> Stage {
    Stage::with(|layer| layer.with_dispatch(EventRouter::new()))
}

async fn send<S>(stage: &Stage, inner: S, id: &str) -> Result<Verdict, S::Error>
where
    S: Service<Request<Body>, Response = Response<Body>, Error: Send, Future: Send + 'static>,
    S: Clone + Send + 'static,
    S::Error: 'static,
{
    let answer = stage.layer.layer(inner).oneshot(from_caspay(caspay_body(id))).await;
    answer.map(|response| verdict(&response))
}

/// Answers with a status, and counts.
fn answering(
    status: u16,
    calls: &Calls,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
+ Clone
+ Send
+ 'static
+ use<> {
    let calls = calls.clone();
    service_fn(move |_: Request<Body>| {
        calls.add();
        async move { Ok(Response::builder().status(status).body(Body::default()).unwrap()) }
    })
}

#[tokio::test]
async fn success_completes_the_claim_and_nothing_else_does() {
    for status in [200, 201, 202, 204, 299] {
        let (stage, calls) = (stage(), Calls::default());
        let first = send(&stage, answering(status, &calls), "evt_1").await.unwrap();
        let second = send(&stage, answering(status, &calls), "evt_1").await.unwrap();
        assert_eq!((first, second), ((status, "forwarded"), DUPLICATE));
        assert_eq!(calls.count(), 1);
    }
    for status in [199, 300, 304, 400, 401, 404, 409, 410, 429, 500, 503] {
        let (stage, calls) = (stage(), Calls::default());
        for _ in 0..2 {
            let answer = send(&stage, answering(status, &calls), "evt_1").await.unwrap();
            assert_eq!(answer, (status, "inner_refused"), "its own answer");
        }
        assert_eq!(calls.count(), 2, "{status}");
        stage.assert_idle();
    }
}

#[tokio::test]
async fn an_error_passes_through_untouched_and_releases() {
    #[derive(Debug, PartialEq)]
    struct Mine(u32);

    let stage = stage();
    let failing = service_fn(async |_: Request<Body>| Err::<Response<Body>, _>(Mine(7)));
    for _ in 0..2 {
        assert_eq!(send(&stage, failing, "evt_1").await, Err(Mine(7)));
    }
    assert_eq!(stage.faults.calls(Operation::Release), 2);
    stage.assert_idle();
    assert_eq!(send(&stage, answering(200, &Calls::default()), "evt_1").await.unwrap(), (200, "forwarded"));
}

/// Everything the service is given is what was sent, with the delivery beside it.
#[tokio::test]
async fn the_request_arrives_as_it_was_sent() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("17"));
    let frames = {
        let (bytes, trailers) = (Bytes::from(caspay_body("evt_1")), trailers.clone());
        let (head, tail) = (bytes.slice(..40), bytes.slice(40..));
        [Frame::data(head), Frame::data(Bytes::new()), Frame::data(tail), Frame::trailers(trailers)]
    };
    let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, Infallible>)));
    let (mut parts, _) = from_caspay(caspay_body("evt_1")).into_parts();
    parts.uri = "/hook?attempt=2".parse().unwrap();
    parts.headers.insert("x-attempt", HeaderValue::from_static("2"));
    parts.extensions.insert("from outside");

    let inner = service_fn(move |request: Request<Body>| {
        let trailers = trailers.clone();
        async move {
            assert_eq!(request.uri(), "/hook?attempt=2");
            assert_eq!(request.headers()["x-attempt"], "2");
            assert!(request.headers()["x-caspay-signature"].is_sensitive());
            assert_eq!(request.extensions().get::<&str>(), Some(&"from outside"));
            let delivery = request.extensions().get::<Delivery>().unwrap();
            assert_eq!((delivery.id(), delivery.event_type()), ("evt_1", "payment.completed"));
            assert_eq!(delivery.body(), caspay_body("evt_1").as_bytes());
            let collected = request.into_body().collect().await?;
            assert_eq!(collected.trailers(), Some(&trailers));
            assert_eq!(collected.to_bytes(), caspay_body("evt_1"));
            Ok::<_, Infallible>(Response::new(Full::from("thanks")))
        }
    });
    let response = stage().layer.layer(inner).oneshot(Request::from_parts(parts, body)).await.unwrap();
    assert_eq!(verdict(&response), (200, "forwarded"));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "thanks");
}

#[tokio::test]
async fn its_response_leaves_as_it_came() {
    let inner = service_fn(async |_: Request<Body>| {
        let frames = [Frame::data(Bytes::from("a")), Frame::trailers(HeaderMap::new())];
        let mut response =
            Response::new(StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, std::io::Error>))));
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("99"));
        response.extensions_mut().insert("from inside");
        Ok::<_, Infallible>(response)
    });
    let response = stage().layer.layer(inner).oneshot(from_caspay(caspay_body("evt_1"))).await.unwrap();
    assert_eq!(verdict(&response), (429, "inner_refused"));
    assert_eq!(response.headers()[header::RETRY_AFTER], "99");
    assert_eq!(response.extensions().get::<&str>(), Some(&"from inside"));
    let collected = response.into_body().collect().await.unwrap();
    assert!(collected.trailers().is_some());
    assert_eq!(collected.to_bytes(), "a");
}

#[tokio::test]
async fn a_panic_is_caught_in_call_and_in_its_future() {
    let stage = stage();
    let in_call = service_fn(|_: Request<Body>| -> std::future::Ready<Result<Response<Body>, Infallible>> {
        panic!("in call")
    });
    let in_future = service_fn(async |_: Request<Body>| -> Result<Response<Body>, Infallible> {
        panic!("in its future")
    });
    assert_eq!(send(&stage, in_call, "evt_1").await, Ok((503, "handler_panicked")));
    assert_eq!(send(&stage, in_future, "evt_1").await, Ok((503, "handler_panicked")));
    stage.assert_idle();
}

#[tokio::test(start_paused = true)]
async fn it_is_moved_when_respond_by_passes_and_finishes() {
    let (stage, calls) = (stage(), Calls::default());
    let slow = calls.clone();
    let slow = service_fn(move |_: Request<Body>| {
        let calls = slow.clone();
        async move {
            tokio::time::sleep(10 * SECOND).await;
            calls.add();
            Ok::<_, Infallible>(Response::new(Body::default()))
        }
    });
    assert_eq!(send(&stage, slow.clone(), "evt_1").await, Ok(RESPOND_BY_PASSED));
    assert_eq!(send(&stage, slow.clone(), "evt_1").await, Ok(IN_FLIGHT));
    stage.settled().await;
    assert_eq!(send(&stage, slow, "evt_1").await, Ok(DUPLICATE));
    assert_eq!(calls.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_times_out_as_a_handler_does() {
    let stage = Stage::with(|layer| {
        let layer = layer.with_dispatch(EventRouter::new());
        layer.with_timing(timing().with_respond_by(20 * SECOND)).unwrap()
    });
    let (hangs, start) =
        (service_fn(async |_: Request<Body>| pending::<Result<_, Infallible>>().await), Instant::now());
    assert_eq!(send(&stage, hangs, "evt_1").await, Ok((503, "handler_timeout")));
    assert_eq!(start.elapsed(), 20 * SECOND);
    assert_eq!(send(&stage, hangs, "evt_1").await, Ok(IN_FLIGHT), "the lease runs out");
}

/// Middleware of tower around the inner service fails with errors of its own: they pass, and release.
#[tokio::test(start_paused = true)]
async fn errors_of_middleware_release_the_claim() {
    let stage = stage();
    let hangs = service_fn(async |_: Request<Body>| pending::<Result<Response<Body>, BoxError>>().await);
    let timed = ServiceBuilder::new().timeout(SECOND).service(hangs);
    let error = send(&stage, timed, "evt_1").await.unwrap_err();
    assert!(error.is::<tower::timeout::error::Elapsed>(), "{error}");
    stage.assert_idle();

    let hangs = service_fn(async |_: Request<Body>| pending::<Result<Response<Body>, Infallible>>().await);
    let busy = ServiceBuilder::new().load_shed().layer(ConcurrencyLimitLayer::new(1)).service(hangs);
    let first = tokio::spawn({
        let service = stage.layer.layer(busy.clone());
        async move { service.oneshot(from_caspay(caspay_body("evt_1"))).await.map(drop) }
    });
    tokio::task::yield_now().await;
    let error = send(&stage, busy, "evt_2").await.unwrap_err();
    assert!(error.is::<tower::load_shed::error::Overloaded>(), "{error}");
    assert_eq!(stage.store.stats().in_flight(), 1, "that of the first");
    first.abort();
}

#[tokio::test]
async fn a_buffer_carries_the_request() {
    let (stage, calls) = (stage(), Calls::default());
    let buffered = ServiceBuilder::new().buffer(4).service(answering(200, &calls));
    assert_eq!(send(&stage, buffered.clone(), "evt_1").await.unwrap(), (200, "forwarded"));
    assert_eq!(send(&stage, buffered, "evt_1").await.unwrap(), DUPLICATE);
    assert_eq!(calls.count(), 1);
}

/// A handler for the type comes first, and the inner service is told nothing.
#[tokio::test]
async fn what_a_handler_takes_does_not_reach_it() {
    let (calls, inner) = (Calls::default(), Calls::default());
    let stage = Stage::with(|layer| layer.with_dispatch(calls.router()));
    assert_eq!(send(&stage, answering(500, &inner), "evt_1").await, Ok(HANDLED));
    assert_eq!((calls.count(), inner.count()), (1, 0));
}
