//! Which bytes are verified: those that were sent, all of them, and no others.

use std::convert::Infallible;
use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use proptest::prelude::*;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_http::decompression::RequestDecompressionLayer;
use tower_webhook::testing::SignedRequest;
use tower_webhook::{Accepted, Body, RejectionReason, Secret, caspay};

use crate::support::{Receiver, accepted, caspay_body, from_caspay, reason};

/// A body that must not be touched.
pub(crate) struct Untouchable;

impl http_body::Body for Untouchable {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("the body was read");
    }
}

/// A body of these frames.
pub(crate) fn frames(
    frames: impl IntoIterator<Item = Frame<Bytes>, IntoIter: Send + 'static>,
) -> impl http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static {
    StreamBody::new(stream::iter(frames.into_iter().map(Ok)))
}

fn receiver() -> Receiver {
    Receiver::new(caspay::provider())
}

/// `sent`, with the signature of `signed`.
fn signed_as(signed: impl Into<Bytes>, sent: impl Into<Bytes>) -> Request<Full<Bytes>> {
    from_caspay(signed).map(|_| Full::new(sent.into()))
}

fn with_header<B>(mut request: Request<B>, name: HeaderName, value: &'static str) -> Request<B> {
    request.headers_mut().append(name, HeaderValue::from_static(value));
    request
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
}

proptest! {
    #[test]
    fn t048_one_flipped_bit(id in "[a-z0-9]{1,40}", position in any::<prop::sample::Index>(), bit in 0_u8..8) {
        run(async {
            let receiver = receiver();
            let body = caspay_body(&id);
            let mut flipped = body.clone().into_bytes();
            flipped[position.index(body.len())] ^= 1 << bit;
            receiver.refuses(signed_as(body.clone(), flipped), RejectionReason::SignatureMismatch).await;
            receiver.handles(signed_as(body.clone(), body)).await;
        });
    }

    #[test]
    fn t054_framing_changes_nothing(
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        with_trailers: bool,
    ) {
        run(async {
            let body = Bytes::from(caspay_body("evt_1"));
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            // Two cuts at one place make an empty frame.
            let mut split: Vec<_> = cuts.windows(2).map(|cut| Frame::data(body.slice(cut[0]..cut[1]))).collect();
            if with_trailers {
                split.push(Frame::trailers(HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("x"))])));
            }
            arrives_whole(body, split).await;
        });
    }
}

/// `split` has the signature of `body`, and not that of a longer one.
async fn arrives_whole(body: Bytes, mut split: Vec<Frame<Bytes>>) {
    let receiver = receiver();
    split.insert(0, Frame::data(Bytes::new()));
    let mut longer = vec![Frame::data(Bytes::from_static(b" "))];
    longer.extend(split.iter().filter_map(Frame::data_ref).cloned().map(Frame::data));
    let signed = || from_caspay(body.clone());
    receiver.refuses(signed().map(|_| frames(longer)), RejectionReason::SignatureMismatch).await;
    receiver.handles(signed().map(|_| frames(split))).await;
}

#[tokio::test]
async fn t054_frames_of_one_byte() {
    let body = Bytes::from(caspay_body("evt_1"));
    let bytes = (0..body.len()).map(|at| Frame::data(body.slice(at..=at))).collect();
    arrives_whole(body, bytes).await;
}

#[tokio::test]
async fn t049_reserialised_json() {
    for (sent, written_anew) in [
        (r#"{"id":"e","type":"t","data":1}"#, r#"{"type":"t","id":"e","data":1}"#),
        (r#"{"id":"e","type":"t","data":1}"#, r#"{"id": "e", "type": "t", "data": 1}"#),
        (r#"{"id":"e","type":"t","data":"\/"}"#, r#"{"id":"e","type":"t","data":"/"}"#),
        (r#"{"id":"e","type":"t","data":"é"}"#, r#"{"id":"e","type":"t","data":"\u00e9"}"#),
        (r#"{"id":"e","type":"t","data":1.0}"#, r#"{"id":"e","type":"t","data":1}"#),
    ] {
        let receiver = receiver();
        receiver.refuses(signed_as(sent, written_anew), RejectionReason::SignatureMismatch).await;
        receiver.handles(signed_as(sent, sent)).await;
    }
}

#[tokio::test]
async fn t050_byte_order_mark() {
    let (receiver, body) = (receiver(), caspay_body("evt_1"));
    let marked = format!("\u{feff}{body}");
    receiver.refuses(signed_as(body.clone(), marked), RejectionReason::SignatureMismatch).await;
    receiver.handles(signed_as(body.clone(), body)).await;
}

#[tokio::test]
async fn t051_line_ends() {
    let unix = caspay_body("evt_1").replace(',', ",\n");
    let dos = unix.replace('\n', "\r\n");
    for (signed, sent) in [(&unix, &dos), (&dos, &unix), (&unix, &format!("{unix}\n"))] {
        let receiver = receiver();
        receiver.refuses(signed_as(signed.clone(), sent.clone()), RejectionReason::SignatureMismatch).await;
        receiver.handles(signed_as(signed.clone(), signed.clone())).await;
    }
}

#[tokio::test]
async fn t052_invalid_utf8_is_verified_then_unreadable() {
    let body = |name: &[u8]| [br#"{"id":"e","type":"t","data":""#, name, br#""}"#].concat();
    let receiver = receiver();
    receiver.cannot_read(from_caspay(body(b"caf\xe9"))).await;
    receiver.handles(from_caspay(body("café".as_bytes()))).await;
}

#[tokio::test]
async fn t053_empty_body() {
    let receiver = receiver();
    let other = Secret::new("a-secret-of-somebody-else").unwrap();
    let forged = SignedRequest::new(&caspay::provider(), &other, "").build();
    receiver.refuses(forged, RejectionReason::SignatureMismatch).await;
    receiver.cannot_read(from_caspay("")).await;
    receiver.handles(from_caspay(caspay_body("evt_1"))).await;
}

/// Computed with Python's `hmac` over `{"id":"evt_1","type":"t","data":"aa.."}` of this length. One block of
/// SHA-256 is 64 bytes, and its padding needs 9 of them.
#[tokio::test]
async fn t055_known_answers_around_the_block() {
    for (length, mac) in [
        (55, "3185c0b342003cd0984ad16cdfffedee62cceb61e7fa118178805f608e1585a9"),
        (56, "b5252331cb2a1c4600f010f4a3641293ac12d3586e19c568ee9644a4677aae78"),
        (63, "12a07676b4c99dad0b15ba692ce63e3fa75c241542375c4d7873f05ca6041c3f"),
        (64, "99f8b91f9fc67d8178e0b00999a877d0b71944fdc0c3258a66e92e0caf9094c6"),
        (65, "ffd23803f028bbe1f13f816ac184586a890dd53e5f9bd4b13f3f2b490323aaca"),
        (129, "0db7ff401e38864f351a0a1d23261741ecf05a2f2515f2bfa93a0240e55f1992"),
        (1 << 20, "1a9d7372d6732ee319c25d632c3a2c64a2439fc13b7797cca1c79a6455938faa"),
    ] {
        let receiver = receiver();
        let (head, tail) = (r#"{"id":"evt_1","type":"t","data":""#, r#""}"#);
        let event = |fill: &str| [head, &fill.repeat(length - head.len() - tail.len()), tail].concat();
        let request = |body: String| {
            Request::post("/").header("x-caspay-signature", mac).body(Full::new(Bytes::from(body))).unwrap()
        };
        receiver.refuses(request(event("b")), RejectionReason::SignatureMismatch).await;
        receiver.handles(request(event("a"))).await;
    }
}

#[tokio::test]
async fn t056_encoded_bodies_are_refused_unread() {
    let body = caspay_body("evt_1");
    for encoding in
        ["gzip", "x-gzip", "br", "deflate", "zstd", "gzip, identity", "identity, br", "", "unknown"]
    {
        let receiver = receiver();
        let encoded = with_header(from_caspay(body.clone()), CONTENT_ENCODING, encoding);
        let refused = encoded.map(|_| Untouchable);
        receiver.turns_away(refused, StatusCode::UNSUPPORTED_MEDIA_TYPE, RejectionReason::EncodedBody).await;
        receiver.handles(with_header(from_caspay(body.clone()), CONTENT_ENCODING, "identity")).await;
    }
    let receiver = receiver();
    let two_lines = with_header(from_caspay(body.clone()), CONTENT_ENCODING, "identity");
    let two_lines = with_header(two_lines, CONTENT_ENCODING, "gzip").map(|_| Untouchable);
    receiver.turns_away(two_lines, StatusCode::UNSUPPORTED_MEDIA_TYPE, RejectionReason::EncodedBody).await;
    receiver.handles(from_caspay(body)).await;
}

#[tokio::test]
async fn t056_compressed_bytes_are_never_inflated() {
    let (receiver, body) = (receiver(), caspay_body("evt_1"));
    let compressed = gzip(body.as_bytes());
    receiver.refuses(signed_as(body.clone(), compressed.clone()), RejectionReason::SignatureMismatch).await;
    // Not even where they are what was signed.
    receiver.cannot_read(from_caspay(compressed)).await;
    receiver.handles(from_caspay(body)).await;
}

/// Such a layer inflates what nobody has verified yet, and the MAC is then over the inflated bytes: the layer
/// belongs outside, where it fails closed.
#[tokio::test]
async fn t057_behind_a_decompression_layer() {
    let (receiver, body) = (receiver(), caspay_body("evt_1"));
    let compressed = Bytes::from(gzip(body.as_bytes()));
    let service = || RequestDecompressionLayer::new().layer(receiver.layer.clone().into_service());
    let send = async |signed: Bytes| {
        let request = with_header(signed_as(signed, compressed.clone()), CONTENT_ENCODING, "gzip");
        service().oneshot(request).await.unwrap()
    };

    let response = send(compressed.clone()).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "the sender signed what it sent");
    assert_eq!(reason(&response), Some(RejectionReason::SignatureMismatch));
    assert_eq!((receiver.calls.count(), receiver.store_calls(), receiver.stats().envelopes()), (0, 0, 0));

    let response = send(Bytes::from(body)).await;
    assert_eq!(response.status(), StatusCode::OK, "the sender signed, then something compressed");
    assert_eq!(receiver.calls.count(), 1);
}

#[tokio::test]
async fn t057_a_bomb_meets_the_limit() {
    let mut receiver = receiver();
    receiver.layer = receiver.layer.with_body_limit(4_096).unwrap();
    let service = || RequestDecompressionLayer::new().layer(receiver.layer.clone().into_service());
    let send = async |length: usize| {
        let body = caspay_body("evt_1") + &" ".repeat(length);
        let compressed = Full::new(Bytes::from(gzip(body.as_bytes())));
        let request = with_header(from_caspay(body), CONTENT_ENCODING, "gzip").map(|_| compressed);
        service().oneshot(request).await.unwrap()
    };
    let response = send(16 << 20).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(receiver.calls.count(), 0);
    assert_eq!(send(1_000).await.status(), StatusCode::OK);
    assert_eq!(receiver.calls.count(), 1);
}

#[tokio::test]
async fn t058_an_outer_layer_consumed_the_body() {
    let receiver = receiver();
    let body = caspay_body("evt_1");
    let request = || {
        let mut request = from_caspay(body.clone());
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        request
    };
    // The length says that something is missing; without it only the signature can.
    receiver
        .turns_away(request().map(|_| Empty::new()), StatusCode::BAD_REQUEST, RejectionReason::BodyIncomplete)
        .await;
    receiver
        .refuses(from_caspay(body.clone()).map(|_| Empty::new()), RejectionReason::SignatureMismatch)
        .await;

    let put_back = ServiceBuilder::new()
        .map_request(|request: Request<Bytes>| request.map(Full::new))
        .service(receiver.layer.clone().into_service());
    let outer = service_fn(async |request: Request<Body>| {
        let (parts, body) = request.into_parts();
        let bytes = body.collect().await?.to_bytes();
        put_back.clone().oneshot(Request::from_parts(parts, bytes)).await
    });
    let response = outer.oneshot(request()).await.unwrap();
    assert_eq!((response.status(), receiver.calls.count()), (StatusCode::OK, 1));
}

#[tokio::test]
async fn t059_forms_are_raw_bytes() {
    for content_type in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b"] {
        let receiver = receiver();
        let json = caspay_body("evt_1");
        let form = match content_type.starts_with("multipart") {
            true => format!("--b\r\ncontent-disposition: form-data; name=payload\r\n\r\n{json}\r\n--b--\r\n"),
            false => format!("payload={}", json.replace('"', "%22")),
        };
        let typed = |mut request: Request<Full<Bytes>>| {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            request
        };
        // A signature of the JSON in the form is none of the form, and a signed form is no JSON.
        let forged = typed(signed_as(json.clone(), form.clone()));
        receiver.refuses(forged, RejectionReason::SignatureMismatch).await;
        receiver.cannot_read(typed(signed_as(form.clone(), form))).await;
        receiver.handles(typed(signed_as(json.clone(), json))).await;
    }
}

const SIGNATURE: HeaderName = HeaderName::from_static("x-caspay-signature");
const OTHER_MAC: &str = "b5252331cb2a1c4600f010f4a3641293ac12d3586e19c568ee9644a4677aae78";

/// A million in a release build; a debug build hashes too slowly.
const INVALID_REQUESTS: usize = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };

#[tokio::test]
async fn t095_invalid_requests_leave_the_store_untouched() {
    let receiver = receiver();
    receiver.handles(from_caspay(caspay_body("evt_1"))).await;
    let (asked, held) = (receiver.store_calls(), receiver.layer.store().inner().stats());
    let service = receiver.layer.clone().into_service();
    for number in 0..INVALID_REQUESTS {
        let body = Bytes::from(caspay_body(&format!("evt_{number}")));
        let unsigned = Request::post("/").body(Full::new(body)).unwrap();
        let request = match number % 3 {
            0 => unsigned,
            1 => with_header(unsigned, SIGNATURE, "beef"),
            _ => with_header(unsigned, SIGNATURE, OTHER_MAC),
        };
        assert_eq!(service.clone().oneshot(request).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(receiver.store_calls(), asked);
    assert_eq!(receiver.layer.store().inner().stats(), held);
    assert_eq!((receiver.calls.count(), receiver.stats().envelopes()), (1, 1));
    let again = receiver.send(from_caspay(caspay_body("evt_1"))).await;
    assert_eq!(accepted(&again), Some(Accepted::Duplicate));
}
