//! The table of answers, row by row, and what answers never say.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper_util::rt::TokioExecutor;
use hyper_util::server::conn::auto;
use tower::layer::layer_fn;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_webhook::dispatch::IntoOutcome;
use tower_webhook::testing::SignedRequest;
use tower_webhook::testing::faulty::{Fault, Operation};
use tower_webhook::{
    Accepted, Answer, Answers, Body, BoxError, DeadLetter, Delivery, EventRouter, HandlerError, Handshake,
    Outcome, Provider, RejectionReason as R, Secret, SignatureScheme, Timing, casapay, caspay,
};

use crate::server::Server;
use crate::support::{
    Answered, NOW, Receiver, accepted, casapay_body, caspay_body, from_casapay, from_caspay, reason, secret,
};

const SECOND: Duration = Duration::from_secs(1);

/// What no answer may let out.
const PRIVATE: &str = "private: connection to db-7 refused";

fn receiver() -> Receiver {
    Receiver::new(caspay::provider())
}

fn event() -> Request<Body> {
    from_caspay(caspay_body("evt_1"))
}

fn event_with(name: HeaderName, value: &'static str) -> Request<Body> {
    let mut request = event();
    request.headers_mut().append(name, HeaderValue::from_static(value));
    request
}

/// An event signed by a stranger.
fn forged(id: &str) -> Request<Body> {
    let stranger = Secret::new("a-secret-of-somebody-else").unwrap();
    SignedRequest::new(&caspay::provider(), &stranger, caspay_body(id)).build()
}

/// Every way to an answer: its row, status and verdict, and how to get there.
struct Case {
    row: Answer,
    status: u16,
    verdict: Result<Accepted, R>,
    send: fn(Receiver) -> Answering,
}

type Answering = Pin<Box<dyn Future<Output = Answered>>>;

fn case(row: Answer, status: u16, verdict: Result<Accepted, R>, send: fn(Receiver) -> Answering) -> Case {
    Case { row, status, verdict, send }
}

fn send<B>(receiver: Receiver, request: Request<B>) -> Answering
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    Box::pin(async move { receiver.send(request).await })
}

/// Sends a CasaPay event to the layer's twin for that provider.
fn send_casapay(receiver: Receiver, seconds_off: i64) -> Answering {
    let body = casapay_body("evt_1", "invoice.paid");
    let at = NOW.checked_add_signed(seconds_off).unwrap();
    send(receiver, SignedRequest::new(&casapay::provider(), &secret(), body).at_unix(at).build())
}

fn with_handler<F, Fut>(mut receiver: Receiver, handler: F) -> Receiver
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoOutcome> + Send + 'static,
{
    let calls = receiver.calls.clone();
    let router = EventRouter::new().fallback(move |_: Delivery| {
        calls.add();
        handler()
    });
    receiver.layer = receiver.layer.with_dispatch(router);
    receiver
}

async fn panics() {
    panic!("{PRIVATE}")
}

/// Sends the event to a handler that never ends, then `next`.
fn send_while_busy(receiver: Receiver, next: Request<Body>) -> Answering {
    let receiver = with_handler(receiver, pending::<()>);
    Box::pin(async move {
        assert_eq!(reason(&receiver.send(event()).await), Some(R::RespondByPassed));
        receiver.send(next).await
    })
}

fn send_with_fault(receiver: Receiver, fault: Fault) -> Answering {
    receiver.store.always(Operation::Claim, fault);
    send(receiver, event())
}

fn frames(frames: Vec<Result<Frame<Bytes>, &'static str>>) -> impl http_body::Body<Data = Bytes> + Send {
    StreamBody::new(stream::iter(frames))
}

fn cases() -> Vec<Case> {
    use Answer as A;
    vec![
        case(A::Done, 200, Ok(Accepted::Handled), |r| send(r, event())),
        case(A::Done, 200, Ok(Accepted::DeadLettered), |mut r| {
            r.layer = r.layer.with_dead_letter(async |_: DeadLetter| Ok::<_, Infallible>(()));
            send(with_handler(r, async || HandlerError::permanent(PRIVATE)), event())
        }),
        case(A::Done, 200, Ok(Accepted::DeadLettered), |mut r| {
            r.layer = r.layer.with_dead_letter(async |_: DeadLetter| Ok::<_, Infallible>(()));
            send(r, from_caspay("not JSON"))
        }),
        case(A::Duplicate, 200, Ok(Accepted::Duplicate), |r| {
            Box::pin(async move {
                r.handles(event()).await;
                r.send(event()).await
            })
        }),
        case(A::Unhandled, 200, Ok(Accepted::Unhandled), |mut r| {
            r.layer = r.layer.with_dispatch(EventRouter::new());
            send(r, event())
        }),
        case(A::Unhandled, 200, Ok(Accepted::Unhandled), |r| {
            send(with_handler(r, async || Outcome::Unhandled), event())
        }),
        case(A::Unauthentic, 401, Err(R::MissingHeader), |r| {
            let mut request = event();
            request.headers_mut().clear();
            send(r, request)
        }),
        case(A::Unauthentic, 401, Err(R::DuplicateHeader), |r| {
            let mut request = event();
            let signature = request.headers()["x-caspay-signature"].clone();
            request.headers_mut().append("x-caspay-signature", signature);
            send(r, request)
        }),
        case(A::Unauthentic, 401, Err(R::MalformedHeader), |r| {
            let mut request = event();
            request.headers_mut().insert("x-caspay-signature", HeaderValue::from_static(""));
            send(r, request)
        }),
        case(A::Unauthentic, 401, Err(R::SignatureMismatch), |r| send(r, forged("evt_1"))),
        case(A::Unauthentic, 401, Err(R::EventTooOld), |mut r| {
            r.layer = r.layer.with_max_event_age(60 * SECOND).unwrap();
            r.clock.advance(61 * SECOND);
            send(r, event())
        }),
        case(A::BodyTooLarge, 413, Err(R::BodyTooLarge), |mut r| {
            r.layer = r.layer.with_body_limit(1).unwrap();
            send(r, event())
        }),
        case(A::BodyTimeout, 408, Err(R::BodyTimeout), |r| {
            let endless = stream::pending::<Result<Frame<Bytes>, Infallible>>();
            send(r, event().map(|_| StreamBody::new(endless)))
        }),
        case(A::BodyIncomplete, 400, Err(R::BodyIncomplete), |r| {
            send(r, event().map(|_| frames(vec![Ok(Frame::data(Bytes::from_static(b"{"))), Err(PRIVATE)])))
        }),
        case(A::BodyIncomplete, 400, Err(R::BodyIncomplete), |r| send(r, event_with(CONTENT_LENGTH, "1000"))),
        case(A::MethodNotAllowed, 405, Err(R::MethodNotAllowed), |r| {
            let mut request = event();
            *request.method_mut() = Method::GET;
            send(r, request)
        }),
        case(A::UnsupportedBody, 415, Err(R::EncodedBody), |r| send(r, event_with(CONTENT_ENCODING, "gzip"))),
        case(A::UnsupportedBody, 415, Err(R::ContentType), |mut r| {
            r.layer = r.layer.require_json_content_type();
            let mut request = event();
            request.headers_mut().remove(CONTENT_TYPE);
            send(r, request)
        }),
        case(A::InFlight, 503, Err(R::InFlight), |r| send_while_busy(r, event())),
        case(A::Unavailable, 503, Err(R::StoreUnavailable), |r| send_with_fault(r, Fault::Unavailable)),
        case(A::Unavailable, 503, Err(R::StoreUnavailable), |r| send_with_fault(r, Fault::Panic)),
        case(A::Unavailable, 503, Err(R::StoreTimeout), |r| send_with_fault(r, Fault::Hang)),
        case(A::Unavailable, 503, Err(R::AtCapacity), |mut r| {
            r.layer = r.layer.with_max_in_flight(1).unwrap();
            send_while_busy(r, from_caspay(caspay_body("evt_2")))
        }),
        case(A::Unavailable, 503, Err(R::UnverifiedCapacity), |mut r| {
            r.layer = r.layer.with_max_unverified_in_flight(1).unwrap();
            Box::pin(async move {
                let endless = stream::pending::<Result<Frame<Bytes>, Infallible>>();
                let slow = r.send(event().map(|_| StreamBody::new(endless)));
                tokio::select! {
                    biased;
                    _ = slow => panic!("the first keeps its place"),
                    answer = r.send(event()) => answer,
                }
            })
        }),
        case(A::RespondByPassed, 503, Err(R::RespondByPassed), |r| {
            send(with_handler(r, pending::<()>), event())
        }),
        case(A::HandlerFailed, 503, Err(R::HandlerFailed), |r| {
            send(with_handler(r, async || Err::<(), _>(PRIVATE)), event())
        }),
        case(A::HandlerFailed, 503, Err(R::HandlerBusy), |r| {
            send(with_handler(r, async || Outcome::Busy { retry_after: 7 * SECOND }), event())
        }),
        case(A::HandlerFailed, 503, Err(R::HandlerPanicked), |r| send(with_handler(r, panics), event())),
        case(A::HandlerFailed, 503, Err(R::HandlerTimeout), |mut r| {
            let timing = Timing::for_provider(&caspay::provider());
            let timeout = timing.handler_timeout();
            r.layer = r.layer.with_timing(timing.with_respond_by(timeout)).unwrap();
            send(with_handler(r, pending::<()>), event())
        }),
        case(A::HandlerFailed, 503, Err(R::ShuttingDown), |r| {
            let r = with_handler(r, pending::<()>);
            Box::pin(async move {
                assert_eq!(reason(&r.send(event()).await), Some(R::RespondByPassed));
                assert_eq!(r.layer.shutdown().drain(Duration::ZERO).await.stopped(), 1);
                r.send(from_caspay(caspay_body("evt_2"))).await
            })
        }),
        case(A::Permanent, 500, Err(R::Permanent), |r| {
            send(with_handler(r, async || HandlerError::permanent(PRIVATE)), event())
        }),
        case(A::Permanent, 500, Err(R::Permanent), |mut r| {
            r.layer = r.layer.with_dead_letter(async |_: DeadLetter| Err::<(), _>(PRIVATE));
            send(with_handler(r, async || HandlerError::permanent(PRIVATE)), event())
        }),
        case(A::Permanent, 500, Err(R::Unreadable), |r| send(r, from_caspay("not JSON"))),
    ]
}

/// The cases that need a provider with timestamps and live mode.
fn casapay_cases() -> Vec<Case> {
    use Answer as A;
    vec![
        case(A::Done, 200, Ok(Accepted::Handled), |r| send_casapay(r, 300)),
        case(A::Unauthentic, 401, Err(R::TimestampTooOld), |r| send_casapay(r, -301)),
        case(A::Unauthentic, 401, Err(R::TimestampInFuture), |r| send_casapay(r, 301)),
        case(A::Unauthentic, 401, Err(R::MalformedTimestamp), |r| {
            let body = casapay_body("evt_1", "invoice.paid");
            let provider = casapay::provider();
            let secret = secret();
            let request = SignedRequest::new(&provider, &secret, body).with_timestamp_text("+1");
            send(r, request.build())
        }),
        case(A::Unhandled, 200, Ok(Accepted::TestEvent), |mut r| {
            r.layer = r.layer.require_live_mode().unwrap();
            let test = casapay_body("evt_1", "invoice.paid").replace(":true", ":false");
            send(r, from_casapay(test))
        }),
    ]
}

/// The cases that need a provider with handshakes.
fn handshake_cases() -> Vec<Case> {
    use Answer as A;
    vec![
        case(A::HandshakeMalformed, 400, Err(R::HandshakeMalformed), |r| {
            send(r, Request::get("/?challenge=").body(Full::<Bytes>::default()).unwrap())
        }),
        case(A::HandshakeRefused, 403, Err(R::HandshakeRefused), |r| {
            let request = Request::options("/").header("webhook-request-origin", "b.example");
            send(r, request.body(Full::<Bytes>::default()).unwrap())
        }),
        case(A::UnknownTopic, 404, Err(R::UnknownTopic), |r| {
            send(r, Request::get("/?hub.mode=subscribe").body(Full::<Bytes>::default()).unwrap())
        }),
    ]
}

fn shaking() -> Provider {
    Provider::builder("shaking")
        .signature(SignatureScheme::hmac_sha256("x-signature"))
        .handshake(Handshake::echo_query("challenge"))
        .handshake(Handshake::hub_topics())
        .handshake(Handshake::origins(["a.example"]))
        .build()
        .unwrap()
}

/// Every case, each with a receiver of its own that answers so.
async fn every_case(answers: impl Fn(&Case) -> Answers, check: impl Fn(&Case, Answered)) {
    let all = cases().into_iter().map(|case| (caspay::provider(), case));
    let all = all.chain(casapay_cases().into_iter().map(|case| (casapay::provider(), case)));
    for (provider, case) in all.chain(handshake_cases().into_iter().map(|case| (shaking(), case))) {
        let mut receiver = Receiver::new(provider);
        receiver.layer = receiver.layer.with_answers(answers(&case));
        let answer = (case.send)(receiver).await;
        let verdict = accepted(&answer).ok_or_else(|| reason(&answer).unwrap());
        assert_eq!(verdict, case.verdict);
        check(&case, answer);
    }
}

#[tokio::test(start_paused = true)]
async fn every_row_of_the_table() {
    every_case(
        |_| Answers::default(),
        |case, answer| assert_eq!(answer.status(), case.status, "{:?}", case.verdict),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn every_row_can_be_overridden() {
    let other = |case: &Case| match case.verdict {
        Ok(_) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::BAD_GATEWAY,
    };
    every_case(
        |case| Answers::default().with_status(case.row, other(case)).unwrap(),
        |case, answer| {
            assert_eq!(answer.status(), other(case), "{:?}", case.verdict);
            assert!(!answer.headers().contains_key(RETRY_AFTER), "belongs to 503");
        },
    )
    .await;
}

/// The one way that needs a dispatch of another type.
#[tokio::test]
async fn a_dispatch_that_refuses_is_unavailable() {
    for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::BAD_GATEWAY] {
        let receiver = receiver();
        let overloaded =
            layer_fn(|_| service_fn(async |_: Delivery| Err::<Outcome, _>(BoxError::from(PRIVATE))));
        let answers = Answers::default().with_status(Answer::Unavailable, status).unwrap();
        let layer = receiver.layer.clone().with_answers(answers);
        let service = layer.with_dispatch(receiver.calls.router().layer(overloaded)).into_service();
        let answer = service.oneshot(event()).await.unwrap();
        assert_eq!((answer.status(), reason(&answer)), (status, Some(R::DispatchRefused)));
        assert_eq!(answer.headers().contains_key(RETRY_AFTER), status == 503);
        receiver.handles(event()).await;
    }
}

/// Sends the event through a layer around an inner service that answers with this status.
async fn through_inner(receiver: &Receiver, status: u16) -> (StatusCode, HeaderValue, Bytes) {
    let inner = service_fn(move |_: Request<Body>| async move {
        let answer = Response::builder().status(status).header("x-inner", "its own");
        Ok::<_, Infallible>(answer.body(Full::new(Bytes::from_static(b"its body"))).unwrap())
    });
    let layer = receiver.layer.clone().with_dispatch(EventRouter::new());
    let answer = layer.layer(inner).oneshot(event()).await.unwrap();
    let (status, header) = (answer.status(), answer.headers()["x-inner"].clone());
    (status, header, answer.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn the_inner_services_answer_is_its_own() {
    for (status, settled) in [(200, true), (204, true), (299, true), (304, false), (409, false), (500, false)]
    {
        let receiver = receiver();
        let (answered, header, body) = through_inner(&receiver, status).await;
        assert_eq!((answered.as_u16(), header.to_str().unwrap()), (status, "its own"));
        assert_eq!(body, "its body");
        let calls =
            [Operation::Complete, Operation::Release].map(|operation| receiver.store.calls(operation));
        assert_eq!(calls, if settled { [1, 0] } else { [0, 1] }, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn t102_a_claim_that_comes_late() {
    let receiver = receiver();
    let timeout = receiver.layer.timing().store_timeout();
    for (fault, held) in
        [(Fault::Delay(timeout + SECOND), false), (Fault::AnswerLate(timeout + SECOND), true)]
    {
        receiver.store.next(Operation::Claim, 1, fault);
        let id = format!("evt_{held}");
        let event = || from_caspay(caspay_body(&id));
        let answer = receiver.send(event()).await;
        assert_eq!((answer.status().as_u16(), reason(&answer)), (503, Some(R::StoreTimeout)));
        if held {
            // It succeeded all the same: nobody holds it, so that it is given up with its lease.
            assert_eq!(reason(&receiver.send(event()).await), Some(R::InFlight));
            receiver.clock.advance(receiver.layer.timing().lease());
        }
        receiver.handles(event()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn t103_answers_say_nothing_but_when() {
    every_case(
        |_| Answers::default(),
        |case, answer| {
            let told: Vec<_> = answer.headers().keys().collect();
            let expected = match case.status {
                405 => vec![ALLOW],
                503 => vec![RETRY_AFTER],
                _ => vec![],
            };
            assert_eq!(told, expected.iter().collect::<Vec<_>>(), "{:?}", case.verdict);
            assert_eq!(http_body::Body::size_hint(answer.body()).exact(), Some(0));
            assert!(http_body::Body::is_end_stream(answer.body()));
        },
    )
    .await;
}

/// A server that adds no date, so that its answers can be compared.
async fn serve(receiver: &Receiver) -> Server {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().auto_date_header(false);
    Server::start_with(builder, receiver.layer.clone().into_service()).await
}

/// What stands on the wire for a request, to the last byte.
async fn wire(server: &Server, request: Request<Body>) -> String {
    let (parts, body) = request.into_parts();
    let body = body.into_bytes();
    let mut head = format!("{} /hook HTTP/1.1\r\nconnection: close\r\n", parts.method);
    for (name, value) in &parts.headers {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    let mut connection = server.connect().await;
    connection.write(format!("{head}content-length: {}\r\n\r\n", body.len())).await;
    connection.write(body).await;
    String::from_utf8(connection.rest().await).unwrap()
}

#[tokio::test]
async fn t103_nothing_else_stands_on_the_wire() {
    let receiver = with_handler(receiver(), async || Err::<(), _>(PRIVATE));
    let server = serve(&receiver).await;
    let tail = "connection: close\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(wire(&server, forged("evt_1")).await, format!("HTTP/1.1 401 Unauthorized\r\n{tail}"));
    assert_eq!(
        wire(&server, event()).await,
        format!("HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\n{tail}")
    );
}

#[tokio::test(start_paused = true)]
async fn t104_retry_after_is_a_number_within_the_lease() {
    let lease = Timing::for_provider(&caspay::provider()).lease().as_secs();
    every_case(
        |_| Answers::default(),
        |case, answer| {
            let wait = answer.headers().get(RETRY_AFTER).map(|wait| wait.to_str().unwrap().parse::<u64>());
            match wait {
                None => assert_ne!(answer.status(), 503, "{:?}", case.verdict),
                Some(wait) => assert!((1..=lease).contains(&wait.unwrap()), "{:?}", case.verdict),
            }
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn t104_whatever_the_handler_asks_for() {
    let timing = || {
        Timing::for_provider(&caspay::provider())
            .with_store_timeout(SECOND)
            .with_dead_letter_timeout(SECOND)
            .with_handler_timeout(4 * SECOND)
            .with_lease(10 * SECOND)
    };
    for (asked, told) in [
        (Duration::ZERO, "1"),
        (Duration::from_millis(1), "1"),
        (SECOND, "1"),
        (Duration::from_millis(1_001), "2"),
        (10 * SECOND, "10"),
        (11 * SECOND, "10"),
        (Duration::MAX, "10"),
    ] {
        let mut receiver =
            with_handler(receiver(), move || async move { Outcome::Busy { retry_after: asked } });
        receiver.layer = receiver.layer.with_timing(timing()).unwrap();
        assert_eq!(receiver.send(event()).await.headers()[RETRY_AFTER], told, "{asked:?}");
    }
}

/// What is left of the lease of the delivery that is being handled, rounded up.
#[tokio::test(start_paused = true)]
async fn t104_in_flight_is_told_when_the_lease_ends() {
    let receiver = with_handler(receiver(), pending::<()>);
    assert_eq!(reason(&receiver.send(event()).await), Some(R::RespondByPassed));
    for (passes, told) in [(0, "30"), (9_500, "21"), (20_000, "1")] {
        receiver.clock.advance(Duration::from_millis(passes));
        let answer = receiver.send(event()).await;
        assert_eq!(
            (reason(&answer), &answer.headers()[RETRY_AFTER]),
            (Some(R::InFlight), &told.parse().unwrap())
        );
    }
}

#[tokio::test]
async fn t105_success_reflects_nothing() {
    let receiver = receiver();
    let server = serve(&receiver).await;
    let expected = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    for _attempt in ["handled", "duplicate"] {
        assert_eq!(wire(&server, event_with(HeaderName::from_static("x-request-id"), "abc")).await, expected);
    }
    assert_eq!(receiver.calls.count(), 1);
}

#[tokio::test]
async fn t106_a_panic_says_nothing() {
    let receiver = with_handler(receiver(), panics);
    let server = serve(&receiver).await;
    let answer = wire(&server, event()).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    for word in ["private", "panic", "db-7", "responses.rs"] {
        assert!(!answer.contains(word), "{answer}");
    }
    assert_eq!(receiver.stats().rejected(R::HandlerPanicked), 1);
}

/// To a stranger an event that is done, one that is being handled and one that never was are one.
#[tokio::test(start_paused = true)]
async fn t107_strangers_learn_no_ids() {
    let receiver = receiver();
    receiver.handles(event()).await;
    let receiver = with_handler(receiver, pending::<()>);
    let in_flight = receiver.send(from_caspay(caspay_body("evt_2"))).await;
    assert_eq!(reason(&in_flight), Some(R::RespondByPassed));
    for id in ["evt_1", "evt_2", "evt_3"] {
        receiver.refuses(forged(id), R::SignatureMismatch).await;
        let mut unsigned = forged(id);
        unsigned.headers_mut().remove("x-caspay-signature");
        receiver.refuses(unsigned, R::MissingHeader).await;
    }
    let told = [event(), from_caspay(caspay_body("evt_2"))];
    for (authentic, status) in told.into_iter().zip([200, 503]) {
        assert_eq!(receiver.send(authentic).await.status(), status, "who holds the secret is told");
    }
}

#[tokio::test]
async fn t107_nor_from_the_bytes_of_an_answer() {
    let receiver = receiver();
    let server = serve(&receiver).await;
    receiver.handles(event()).await;
    assert_eq!(wire(&server, forged("evt_1")).await, wire(&server, forged("evt_2")).await);
    assert_ne!(wire(&server, forged("evt_2")).await, wire(&server, event()).await);
}

/// CloudEvents' way to make a sender give up for good is the inner service's to take, and nobody else's.
#[tokio::test]
async fn t108_only_the_inner_service_aborts_delivery() {
    const ABORT: HeaderName = HeaderName::from_static("webhook-delivery");
    let receiver = receiver();
    let request = || event_with(ABORT, "abort-message");
    let answer = receiver.send(request()).await;
    assert_eq!((answer.status(), answer.headers().len()), (StatusCode::OK, 0));

    let inner = service_fn(async |request: Request<Body>| {
        let chosen = request.headers()[ABORT].clone();
        Ok::<_, Infallible>(
            Response::builder().status(503).header(ABORT, chosen).body(Body::default()).unwrap(),
        )
    });
    let layer = receiver.layer.clone().with_dispatch(EventRouter::new());
    let duplicate = layer.layer(inner).oneshot(request()).await.unwrap();
    assert!(!duplicate.headers().contains_key(ABORT), "it was not asked");
    receiver.layer.processor().forget(&delivery()).await.unwrap();
    let chosen = layer.layer(inner).oneshot(request()).await.unwrap();
    assert_eq!(chosen.headers()[ABORT], "abort-message");
}

fn delivery() -> Delivery {
    tower_webhook::testing::delivery(&caspay::provider(), caspay_body("evt_1")).unwrap()
}

const CALLERS_IDS: [&str; 4] = ["x-request-id", "traceparent", "idempotency-key", "webhook-id"];

#[tokio::test]
async fn t109_a_callers_id_is_no_key() {
    let receiver = receiver();
    let with_ids = |id: &str, value: &'static str| {
        let mut request = from_caspay(caspay_body(id));
        for name in CALLERS_IDS {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        request
    };
    receiver.handles(with_ids("evt_1", "first")).await;
    assert_eq!(accepted(&receiver.send(with_ids("evt_1", "second")).await), Some(Accepted::Duplicate));
    receiver.handles(with_ids("evt_2", "first")).await;
}

/// Writes down every span and event: names, fields and values.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<String>>);

impl tracing::field::Visit for Heard {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        *self.0.lock().unwrap() += &format!("{field}={value:?}\n");
    }
}

impl tracing::Subscriber for Heard {
    fn enabled(&self, _metadata: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        *self.0.lock().unwrap() += &format!("span {}\n", span.metadata().name());
        span.record(&mut self.clone());
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _span: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn record_follows_from(&self, _span: &tracing::span::Id, _follows: &tracing::span::Id) {}
    fn enter(&self, _span: &tracing::span::Id) {}
    fn exit(&self, _span: &tracing::span::Id) {}
}

#[tokio::test]
async fn t109_nor_a_name_in_the_logs() {
    let (receiver, heard) = (receiver(), Heard::default());
    let _listening = tracing::subscriber::set_default(heard.clone());
    // With one dispatcher alone, a thread without one would decide for all of them what is heard.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    for mut request in [event(), forged("evt_2")] {
        for name in CALLERS_IDS {
            request.headers_mut().insert(name, HeaderValue::from_static("chosen-by-the-caller"));
        }
        receiver.send(request).await;
    }
    let heard = heard.0.lock().unwrap();
    assert!(heard.contains("span webhook_delivery\n") && heard.contains("event_id=evt_1\n"), "{heard}");
    assert!(heard.contains("reason=\"signature_mismatch\"\n"), "{heard}");
    assert!(!heard.contains("chosen-by-the-caller"), "{heard}");
}
