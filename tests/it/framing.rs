//! How a body arrives: its length, its pace, its end. Over loopback against hyper where hyper has a say.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{FutureExt as _, join_all};
use futures_util::stream;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::{Empty, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tower::{Service, ServiceExt as _};
use tower_webhook::testing::{SignedRequest, faulty::Operation};
use tower_webhook::{Delivery, EventRouter, RejectionReason, Timing, caspay};

use crate::body::Untouchable;
use crate::server::{Connection, Server};
use crate::support::{Calls, Receiver, caspay_body, from_caspay, reason, secret};

/// What a slow sender is given where the test waits for it to be cut off.
const SOON: Duration = Duration::from_millis(500);

fn receiver() -> Receiver {
    Receiver::new(caspay::provider())
}

fn with_respond_by(mut receiver: Receiver, respond_by: Duration) -> Receiver {
    let timing = Timing::for_provider(&caspay::provider()).with_respond_by(respond_by);
    receiver.layer = receiver.layer.with_timing(timing).unwrap();
    receiver
}

async fn serve(receiver: &Receiver) -> Server {
    Server::start(receiver.layer.clone().into_service()).await
}

fn signature(body: &str) -> String {
    SignedRequest::new(&caspay::provider(), &secret(), body.to_owned()).signature()
}

/// The head of a signed POST of `body`, with these lines about its framing.
fn head(body: &str, framing: &str) -> String {
    let signature = signature(body);
    format!("POST /hook HTTP/1.1\r\nhost: localhost\r\nx-caspay-signature: {signature}\r\n{framing}\r\n\r\n")
}

fn length(length: usize) -> String {
    format!("content-length: {length}")
}

/// A signed POST of `body` with its length.
fn whole(body: &str) -> String {
    head(body, &length(body.len())) + body
}

fn chunked(body: &str, chunk: usize) -> String {
    let mut wire = String::new();
    for chunk in body.as_bytes().chunks(chunk) {
        write!(wire, "{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()).unwrap();
    }
    wire + "0\r\n\r\n"
}

/// Nothing that a stranger sent got past the signature.
fn assert_untouched(receiver: &Receiver) {
    let seen = (receiver.calls.count(), receiver.store_calls(), receiver.stats().envelopes());
    assert_eq!(seen, (0, 0, 0), "handlers, store calls, envelopes");
}

fn assert_handled_once(receiver: &Receiver) {
    assert_eq!((receiver.calls.count(), receiver.store.calls(Operation::Claim)), (1, 1));
}

#[tokio::test]
async fn t060_a_declared_length_beyond_the_limit() {
    let body = caspay_body("evt_1");
    let mut receiver = receiver();
    receiver.layer = receiver.layer.with_body_limit(body.len()).unwrap();
    let server = serve(&receiver).await;
    // The answer comes although not one byte of the body does.
    let reply = server.exchange(head(&body, &length(body.len() + 1))).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_untouched(&receiver);
    assert_eq!(server.exchange(whole(&body)).await.status, StatusCode::OK);
    assert_handled_once(&receiver);
}

#[tokio::test]
async fn t061_chunks_beyond_the_limit() {
    let body = caspay_body("evt_1");
    let mut receiver = receiver();
    receiver.layer = receiver.layer.with_body_limit(body.len()).unwrap();
    let server = serve(&receiver).await;
    let send = async |body: &str| {
        server.exchange(head(body, "transfer-encoding: chunked") + &chunked(body, 16)).await.status
    };
    assert_eq!(send(&format!("{body} ")).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_untouched(&receiver);
    assert_eq!(send(&body).await, StatusCode::OK);
    assert_handled_once(&receiver);
}

#[tokio::test]
async fn t061_no_frame_is_taken_beyond_the_limit() {
    let taken = Calls::default();
    let counted = taken.clone();
    let endless = stream::repeat_with(move || {
        counted.add();
        Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[b' '; 100])))
    });
    let mut receiver = receiver();
    receiver.layer = receiver.layer.with_body_limit(1_000).unwrap();
    let request = from_caspay("").map(|_| StreamBody::new(endless));
    receiver.turns_away(request, StatusCode::PAYLOAD_TOO_LARGE, RejectionReason::BodyTooLarge).await;
    assert_eq!(taken.count(), 11, "ten fit, the eleventh does not");
    let filled = caspay_body("evt_1");
    receiver.handles(from_caspay(filled.clone() + &" ".repeat(1_000 - filled.len()))).await;
}

#[tokio::test]
async fn t062_bytes_after_the_declared_length() {
    let receiver = receiver();
    let server = serve(&receiver).await;
    let (first, second) = (whole(&caspay_body("evt_1")), whole(&caspay_body("evt_2")));

    let mut connection = server.connect().await;
    connection.write(first.clone() + &"{".repeat(1_000)).await;
    assert_eq!(connection.reply().await.status, StatusCode::OK);
    assert_eq!(connection.reply().await.status, StatusCode::BAD_REQUEST, "a next request, and none at that");
    assert_eq!(receiver.calls.count(), 1);

    let mut connection = server.connect().await;
    connection.write(first + &second).await;
    assert_eq!(connection.reply().await.status, StatusCode::OK, "a duplicate");
    assert_eq!(connection.reply().await.status, StatusCode::OK);
    assert_eq!(receiver.calls.count(), 2);
}

#[tokio::test]
async fn t063_less_than_the_declared_length() {
    let body = caspay_body("evt_1");
    for (framing, sent) in
        [(length(body.len()), body.clone()), ("transfer-encoding: chunked".to_owned(), chunked(&body, 16))]
    {
        let receiver = receiver();
        let server = serve(&receiver).await;
        let (most, rest) = sent.split_at(sent.len() - 3);
        let mut connection = server.connect().await;
        connection.write(head(&body, &framing) + most).await;
        connection.finish().await;
        let answer = connection.rest().await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "), "{answer:?}");
        assert_untouched(&receiver);

        let mut connection = server.connect().await;
        connection.write(head(&body, &framing) + most).await;
        connection.write(rest).await;
        assert_eq!(connection.reply().await.status, StatusCode::OK);
        assert_handled_once(&receiver);
    }
}

/// `body` in frames that come `pause` after one another.
fn dribble(
    body: Bytes,
    frame: usize,
    pause: Duration,
) -> impl http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static {
    let frames = (0..body.len()).step_by(frame);
    let frames = frames.map(move |at| body.slice(at..(at + frame).min(body.len())));
    StreamBody::new(Box::pin(stream::unfold(frames, move |mut frames| async move {
        let frame = frames.next()?;
        tokio::time::sleep(pause).await;
        Some((Ok(Frame::data(frame)), frames))
    })))
}

#[tokio::test(start_paused = true)]
async fn t064_one_byte_a_second() {
    let (receiver, body) = (receiver(), Bytes::from(caspay_body("evt_1")));
    let send = |pause| from_caspay(body.clone()).map(|_| dribble(body.clone(), 1, pause));
    let started = Instant::now();
    let slow = send(Duration::from_secs(1));
    receiver.turns_away(slow, StatusCode::REQUEST_TIMEOUT, RejectionReason::BodyTimeout).await;
    assert_eq!(started.elapsed(), receiver.layer.timing().respond_by());
    receiver.handles(send(Duration::from_millis(1))).await;
}

/// `respond_by` over the body limit is the least rate at which a body can come.
#[tokio::test(start_paused = true)]
async fn t064_the_deadline_is_the_minimum_rate() {
    let receiver = receiver();
    let respond_by = receiver.layer.timing().respond_by();
    let body = Bytes::from(caspay_body("evt_1"));
    let frame = body.len().div_ceil(10);
    let send = |pause| from_caspay(body.clone()).map(|_| dribble(body.clone(), frame, pause));
    let too_slow = send(respond_by / 10 + Duration::from_millis(1));
    receiver.turns_away(too_slow, StatusCode::REQUEST_TIMEOUT, RejectionReason::BodyTimeout).await;
    receiver.handles(send(respond_by / 10 - Duration::from_millis(1))).await;
}

#[tokio::test]
async fn t064_a_body_that_stalls_on_the_wire() {
    let body = caspay_body("evt_1");
    let receiver = with_respond_by(receiver(), SOON);
    let server = serve(&receiver).await;
    let request = whole(&body);
    let reply = server.exchange(&request[..request.len() - 1]).await;
    assert_eq!(reply.status, StatusCode::REQUEST_TIMEOUT);
    assert_untouched(&receiver);

    let patient = with_respond_by(receiver, Duration::from_secs(4));
    assert_eq!(serve(&patient).await.exchange(request).await.status, StatusCode::OK);
    assert_handled_once(&patient);
}

/// Lets every handler wait until it is told to go on, and tells when one has begun.
struct Gate {
    begun: mpsc::UnboundedReceiver<()>,
    open: Arc<Notify>,
}

fn gate(receiver: &mut Receiver) -> Gate {
    let (began, begun) = mpsc::unbounded_channel();
    let (open, calls) = (Arc::new(Notify::new()), receiver.calls.clone());
    let wait = Arc::clone(&open);
    let router = EventRouter::new().fallback(move |_: Delivery| {
        calls.add();
        began.send(()).unwrap();
        let wait = Arc::clone(&wait);
        async move { wait.notified().await }
    });
    receiver.layer = receiver.layer.clone().with_dispatch(router);
    Gate { begun, open }
}

#[tokio::test(start_paused = true)]
async fn t065_a_crowd_of_slow_strangers() {
    const ROOM: usize = 1_000;
    let mut receiver = receiver();
    receiver.layer = receiver.layer.with_max_unverified_in_flight(ROOM).unwrap();
    let mut gate = gate(&mut receiver);
    let service = receiver.layer.clone().into_service();
    let signed = |id: &str| tokio::spawn(service.clone().oneshot(from_caspay(caspay_body(id))));

    let verified = signed("evt_before");
    gate.begun.recv().await.unwrap();

    let slow =
        || from_caspay("").map(|_| StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>()));
    let mut strangers: Vec<_> = (0..2 * ROOM).map(|_| Box::pin(service.clone().oneshot(slow()))).collect();
    let mut turned_away = 0;
    for stranger in &mut strangers {
        if let Some(response) = stranger.now_or_never() {
            let response = response.unwrap();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(reason(&response), Some(RejectionReason::UnverifiedCapacity));
            assert_eq!(response.headers()[RETRY_AFTER], "5");
            turned_away += 1;
        }
    }
    assert_eq!(turned_away, ROOM);

    let latecomer = signed("evt_late").await.unwrap().unwrap();
    assert_eq!(reason(&latecomer), Some(RejectionReason::UnverifiedCapacity));

    gate.open.notify_one();
    assert_eq!(verified.await.unwrap().unwrap().status(), StatusCode::OK, "what was verified is served");

    for cut_off in join_all(strangers.into_iter().take(ROOM)).await {
        assert_eq!(cut_off.unwrap().status(), StatusCode::REQUEST_TIMEOUT);
    }
    gate.open.notify_one();
    assert_eq!(signed("evt_late").await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!((receiver.calls.count(), receiver.store.calls(Operation::Claim)), (2, 2));
}

/// Tells whenever a request was polled for the first time and is not done: its body is awaited.
fn tell_when_reading<S, B>(
    service: S,
) -> (
    impl Service<Request<B>, Response = S::Response, Error = S::Error, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static,
    mpsc::UnboundedReceiver<()>,
)
where
    S: Service<Request<B>, Future: Send> + Clone + Send + Sync + 'static,
    B: Send + 'static,
{
    let (reads, reading) = mpsc::unbounded_channel();
    let service = tower::service_fn(move |request| {
        let (mut service, reads) = (service.clone(), reads.clone());
        async move {
            let mut answer = pin!(service.call(request));
            if let Some(answer) = answer.as_mut().now_or_never() {
                return answer;
            }
            reads.send(()).unwrap();
            answer.await
        }
    });
    (service, reading)
}

#[tokio::test]
async fn t065_slow_strangers_on_the_wire() {
    let mut receiver = with_respond_by(receiver(), Duration::from_secs(2));
    receiver.layer = receiver.layer.with_max_unverified_in_flight(2).unwrap();
    let (service, mut reading) = tell_when_reading(receiver.layer.clone().into_service());
    let server = Server::start(service).await;
    let body = caspay_body("evt_1");

    let mut strangers = Vec::new();
    for _ in 0..2 {
        let mut stranger = server.connect().await;
        stranger.write(head("another body", &length(100))).await;
        reading.recv().await.unwrap();
        strangers.push(stranger);
    }
    let reply = server.exchange(whole(&body)).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.header("retry-after"), Some("5"));
    for mut stranger in strangers {
        assert_eq!(stranger.reply().await.status, StatusCode::REQUEST_TIMEOUT);
    }
    assert_untouched(&receiver);
    assert_eq!(server.exchange(whole(&body)).await.status, StatusCode::OK);
    assert_handled_once(&receiver);
}

/// A server that gives a head this long to arrive. hyper has a limit of 30 s that stays idle without a timer. It
/// starts when hyper knows the protocol: sniffing for HTTP/2 would wait for a silent client for ever.
async fn impatient(receiver: &Receiver, header_read_timeout: Duration) -> Server {
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_read_timeout);
    Server::start_with(builder, receiver.layer.clone().into_service()).await
}

#[tokio::test]
async fn t066_no_head_or_half_of_one() {
    let receiver = receiver();
    let request = whole(&caspay_body("evt_1"));
    let server = impatient(&receiver, SOON).await;
    let end_of_head = request.find("\r\n\r\n").unwrap();
    for sent in ["", "P", "POST /hook HTTP/1.1\r\n", &request[..end_of_head + 3]] {
        let mut connection = server.connect().await;
        connection.write(sent).await;
        let answer = connection.rest().await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408 "), "{answer:?}");
    }
    assert_untouched(&receiver);
    assert_eq!(server.exchange(request).await.status, StatusCode::OK);
    assert_handled_once(&receiver);
}

fn with_headers(body: &str, count: usize, length_of_each: usize) -> String {
    let mut lines = length(body.len());
    for number in 0..count {
        write!(lines, "\r\nx-{number}: {}", "y".repeat(length_of_each)).unwrap();
    }
    head(body, &lines) + body
}

#[tokio::test]
async fn t067_too_many_headers() {
    let receiver = receiver();
    let server = serve(&receiver).await;
    let body = caspay_body("evt_1");
    // Three are there already: host, signature, length.
    let reply = server.exchange(with_headers(&body, 98, 1)).await;
    assert_eq!(reply.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_untouched(&receiver);
    assert_eq!(server.exchange(with_headers(&body, 97, 1)).await.status, StatusCode::OK);
    assert_handled_once(&receiver);
}

#[tokio::test]
async fn t067_large_headers_reach_the_layer() {
    let receiver = receiver();
    let server = serve(&receiver).await;
    let body = caspay_body("evt_1");
    let large = with_headers(&body, 49, 8_000);
    let forged = large.replace(&signature(&body), &signature("another body"));
    assert_eq!(server.exchange(forged).await.status, StatusCode::UNAUTHORIZED);
    assert_untouched(&receiver);
    assert_eq!(server.exchange(large).await.status, StatusCode::OK);
    assert_handled_once(&receiver);
}

#[tokio::test]
async fn t068_contradicting_or_illegal_lengths() {
    let body = caspay_body("evt_1");
    let right = length(body.len());
    for framing in [
        format!("{right}\r\ncontent-length: {}", body.len() + 1),
        format!("content-length: +{}", body.len()),
        format!("content-length: {}, {}", body.len(), body.len() + 1),
        "content-length: ".to_owned(),
        "content-length: -1".to_owned(),
        "content-length: 18446744073709551616".to_owned(),
    ] {
        let receiver = receiver();
        let server = serve(&receiver).await;
        let reply = server.exchange(head(&body, &framing) + &body).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{framing}");
        assert_untouched(&receiver);
        assert_eq!(server.exchange(head(&body, &right) + &body).await.status, StatusCode::OK);
        assert_handled_once(&receiver);
    }
}

#[tokio::test]
async fn t068_an_illegal_chunk_size() {
    let receiver = receiver();
    let server = serve(&receiver).await;
    let body = caspay_body("evt_1");
    let good = head(&body, "transfer-encoding: chunked") + &chunked(&body, body.len());
    let size = format!("\r\n{:x}\r\n", body.len());
    for illegal in ["\r\n-1\r\n", "\r\nxyz\r\n", "\r\nffffffffffffffffff\r\n"] {
        let reply = server.exchange(good.replace(&size, illegal)).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{illegal:?}");
        assert_untouched(&receiver);
    }
    assert_eq!(server.exchange(good).await.status, StatusCode::OK);
    assert_handled_once(&receiver);
}

/// hyper drops the length (RFC 9112, 6.3): the MAC over the decoded bytes decides.
#[tokio::test]
async fn t068_a_length_beside_chunks() {
    for declared in [0, 7, 1_000_000_000] {
        let receiver = receiver();
        let server = serve(&receiver).await;
        let body = caspay_body("evt_1");
        let framing = format!("{}\r\ntransfer-encoding: chunked", length(declared));
        let send =
            async |sent: &str| server.exchange(head(&body, &framing) + &chunked(sent, 50)).await.status;
        assert_eq!(send(&body[..body.len() - 1]).await, StatusCode::UNAUTHORIZED);
        assert_untouched(&receiver);
        assert_eq!(send(&body).await, StatusCode::OK);
        assert_handled_once(&receiver);
    }
}

/// HTTP/2, byte for byte.
mod h2 {
    use super::{Connection, Server};

    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const GOAWAY: u8 = 7;
    pub(super) const CONTINUATION: u8 = 9;

    pub(super) const END_STREAM: u8 = 1;
    pub(super) const END_HEADERS: u8 = 4;

    pub(super) const PROTOCOL_ERROR: u32 = 1;
    pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

    pub(super) fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
    }

    /// A literal field without indexing or Huffman coding: RFC 7541, 6.2.2.
    pub(super) fn field(name: &str, value: &str) -> Vec<u8> {
        let text = |text: &str| {
            let length = u8::try_from(text.len()).unwrap();
            assert!(length < 127, "longer lengths have another form");
            [&[length], text.as_bytes()].concat()
        };
        [vec![0], text(name), text(value)].concat()
    }

    /// How a stream, or with it the connection, ended.
    #[derive(Debug, PartialEq, Eq)]
    pub(super) enum End {
        /// The first byte of the header block: 0x88 is `:status: 200`.
        Answer(u8),
        Reset(u32),
        GoAway(u32),
        Closed,
    }

    pub(super) const OK: End = End::Answer(0x88);

    pub(super) async fn connect(server: &Server) -> Connection {
        let mut connection = server.connect().await;
        connection.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        connection.write(frame(SETTINGS, 0, 0, &[])).await;
        connection
    }

    pub(super) async fn end(connection: &mut Connection) -> End {
        let code = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        loop {
            let Some(head) = connection.take(9).await else { return End::Closed };
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let Some(payload) = connection.take(length as usize).await else { return End::Closed };
            match head[3] {
                HEADERS => return End::Answer(payload[0]),
                RST_STREAM => return End::Reset(code(&payload)),
                GOAWAY => return End::GoAway(code(&payload[4..8])),
                _ => {}
            }
        }
    }
}

/// The fields of a signed POST over HTTP/2.
fn fields(body: &str, declared: Option<usize>) -> Vec<u8> {
    let signature = signature(body);
    let mut fields = [
        h2::field(":method", "POST"),
        h2::field(":scheme", "http"),
        h2::field(":path", "/hook"),
        h2::field(":authority", "localhost"),
        h2::field("x-caspay-signature", &signature),
    ]
    .concat();
    if let Some(declared) = declared {
        fields.extend(h2::field("content-length", &declared.to_string()));
    }
    fields
}

async fn exchange_h2(server: &Server, frames: &[Vec<u8>]) -> h2::End {
    let mut connection = h2::connect(server).await;
    connection.write(frames.concat()).await;
    h2::end(&mut connection).await
}

#[tokio::test]
async fn t069_a_length_that_does_not_match() {
    let body = caspay_body("evt_1");
    for declared in [body.len() - 1, body.len() + 1] {
        let receiver = receiver();
        let server = serve(&receiver).await;
        let send = async |declared| {
            let head = h2::frame(h2::HEADERS, h2::END_HEADERS, 1, &fields(&body, Some(declared)));
            exchange_h2(&server, &[head, h2::frame(h2::DATA, h2::END_STREAM, 1, body.as_bytes())]).await
        };
        assert_eq!(send(declared).await, h2::End::Reset(h2::PROTOCOL_ERROR));
        assert_untouched(&receiver);
        assert_eq!(send(body.len()).await, h2::OK);
        assert_handled_once(&receiver);
    }
}

#[tokio::test]
async fn t069_a_flood_of_continuations() {
    let receiver = receiver();
    let server = serve(&receiver).await;
    let body = caspay_body("evt_1");
    let send = async |continuations: usize| {
        let fields = fields(&body, None);
        let (first, last) = fields.split_at(10);
        let mut frames = vec![h2::frame(h2::HEADERS, 0, 1, first)];
        frames.extend(vec![h2::frame(h2::CONTINUATION, 0, 1, &[]); continuations]);
        frames.push(h2::frame(h2::CONTINUATION, h2::END_HEADERS, 1, last));
        frames.push(h2::frame(h2::DATA, h2::END_STREAM, 1, body.as_bytes()));
        exchange_h2(&server, &frames).await
    };
    assert_eq!(send(1_000).await, h2::End::GoAway(h2::ENHANCE_YOUR_CALM));
    assert_untouched(&receiver);
    assert_eq!(send(1).await, h2::OK);
    assert_handled_once(&receiver);
}

#[tokio::test]
async fn t069_a_flood_of_empty_frames() {
    let receiver = receiver();
    let server = serve(&receiver).await;
    let body = caspay_body("evt_1");
    let send = async |empty: usize| {
        let mut frames = vec![h2::frame(h2::HEADERS, h2::END_HEADERS, 1, &fields(&body, None))];
        frames.extend(vec![h2::frame(h2::DATA, 0, 1, &[]); empty]);
        frames.push(h2::frame(h2::DATA, h2::END_STREAM, 1, body.as_bytes()));
        exchange_h2(&server, &frames).await
    };
    assert_eq!(send(2_000).await, h2::End::GoAway(h2::ENHANCE_YOUR_CALM));
    assert_untouched(&receiver);
    assert_eq!(send(10).await, h2::OK);
    assert_handled_once(&receiver);
}

#[tokio::test]
async fn t070_other_methods() {
    let (receiver, body) = (receiver(), caspay_body("evt_1"));
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::HEAD, Method::OPTIONS, Method::PATCH] {
        let mut request = from_caspay(body.clone()).map(|_| Untouchable);
        *request.method_mut() = method;
        let refusal = RejectionReason::MethodNotAllowed;
        let response = receiver.turns_away(request, StatusCode::METHOD_NOT_ALLOWED, refusal).await;
        assert_eq!(response.headers()[ALLOW], "POST");
    }
    receiver.handles(from_caspay(body)).await;
}

#[tokio::test]
async fn t070_other_methods_on_the_wire() {
    let receiver = receiver();
    let server = serve(&receiver).await;
    let request = whole(&caspay_body("evt_1"));
    let head = &request[..request.find("\r\n\r\n").unwrap() + 4];
    for method in ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "post"] {
        let mut connection = server.connect().await;
        connection.write(head.replacen("POST", method, 1)).await;
        let reply = connection.reply().await;
        assert_eq!((reply.status, reply.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, Some("POST")));
        assert_untouched(&receiver);
    }
    assert_eq!(server.exchange(request).await.status, StatusCode::OK);
    assert_handled_once(&receiver);
}

#[tokio::test]
async fn t071_an_oversized_body_is_not_asked_for() {
    let body = caspay_body("evt_1");
    let mut receiver = receiver();
    receiver.layer = receiver.layer.with_body_limit(body.len()).unwrap();
    let server = serve(&receiver).await;
    let expecting = |declared| head(&body, &format!("{}\r\nexpect: 100-continue", length(declared)));
    assert_eq!(server.exchange(expecting(body.len() + 1)).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_untouched(&receiver);

    let mut connection = server.connect().await;
    connection.write(expecting(body.len())).await;
    assert_eq!(connection.reply().await.status, StatusCode::CONTINUE);
    connection.write(&body).await;
    assert_eq!(connection.reply().await.status, StatusCode::OK);
    assert_handled_once(&receiver);
}

/// Refusals that need no body ask for none either.
#[tokio::test]
async fn t071_an_unsigned_body_is_not_asked_for() {
    let receiver = receiver();
    let server = serve(&receiver).await;
    let body = caspay_body("evt_1");
    let signed = head(&body, &format!("{}\r\nexpect: 100-continue", length(body.len())));
    let unsigned = signed.replace("x-caspay-signature", "x-other");
    assert_eq!(server.exchange(unsigned).await.status, StatusCode::UNAUTHORIZED);
    assert_untouched(&receiver);
    assert_eq!(server.exchange(signed).await.status, StatusCode::CONTINUE);
}

#[tokio::test]
async fn t072_the_content_type_is_not_asked() {
    for content_type in [None, Some("text/plain"), Some("application/xml"), Some("no type at all")] {
        let receiver = receiver();
        let with_type = |mut request: Request<_>| {
            request.headers_mut().remove(CONTENT_TYPE);
            if let Some(content_type) = content_type {
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            }
            request
        };
        // It chooses no parser for the MAC either.
        let other = from_caspay("another body").headers()["x-caspay-signature"].clone();
        let mut forged = with_type(from_caspay(caspay_body("evt_1")));
        forged.headers_mut().insert("x-caspay-signature", other);
        receiver.refuses(forged, RejectionReason::SignatureMismatch).await;
        receiver.handles(with_type(from_caspay(caspay_body("evt_1")))).await;
    }
}

#[tokio::test]
async fn t072_unless_json_is_required() {
    let mut receiver = receiver();
    receiver.layer = receiver.layer.require_json_content_type();
    let (status, refusal) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, RejectionReason::ContentType);
    for other in ["text/plain", "text/json", "application/jsonp", "application/x-www-form-urlencoded", ""] {
        let mut request = from_caspay(caspay_body("evt_1")).map(|_| Untouchable);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(other));
        receiver.turns_away(request, status, refusal).await;
    }
    let mut untyped = from_caspay(caspay_body("evt_1")).map(|_| Empty::<Bytes>::new());
    untyped.headers_mut().remove(CONTENT_TYPE);
    receiver.turns_away(untyped, status, refusal).await;
    for (number, json) in
        ["application/json", "Application/JSON; charset=utf-8", "application/cloudevents+json"]
            .into_iter()
            .enumerate()
    {
        let mut request = from_caspay(caspay_body(&format!("evt_{number}")));
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(json));
        receiver.handles(request).await;
    }
}
