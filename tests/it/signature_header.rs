//! Section B of the catalogue of hostile input: the signature header.

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use proptest::prelude::*;
use tower_webhook::testing::SignedRequest;
use tower_webhook::{Body, Encoding, Provider, RejectionReason, Secret, SignatureScheme, casapay, caspay};

use crate::support::{
    NOW, Receiver, SECRET, casapay_body, caspay_body, from_casapay, from_caspay, reason, secret, secrets,
};

/// HMAC-SHA256 as the RustCrypto crates compute it, without this crate's own code.
pub(crate) fn hmac_sha256(secret: &str, message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// `request` with this signature header instead of its own.
pub(crate) fn with_signature(
    mut request: Request<Body>,
    provider: &Provider,
    value: impl AsRef<[u8]>,
) -> Request<Body> {
    let value = HeaderValue::from_bytes(value.as_ref()).unwrap();
    request.headers_mut().insert(provider.signature_header(), value).unwrap();
    request
}

/// One event of CasaPay, and its right signature under [`SECRET`] at [`NOW`].
struct CasaPay {
    receiver: Receiver,
    body: String,
    right: String,
}

/// Hexadecimal digits of a MAC that is right for nothing.
const WRONG: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

impl CasaPay {
    fn new() -> Self {
        let body = casapay_body("evt_1", "invoice.paid");
        let right = const_hex::encode(hmac_sha256(SECRET, format!("{NOW}.{body}").as_bytes()));
        Self { receiver: Receiver::new(casapay::provider()), body, right }
    }

    fn request(&self, header: impl AsRef<[u8]>) -> Request<Body> {
        with_signature(from_casapay(self.body.clone()), &casapay::provider(), header)
    }

    /// The event is refused with the header at fault. Nothing is hashed where the header alone says so.
    async fn refuses(&self, header: impl AsRef<[u8]>, expected: RejectionReason) {
        let macs = self.receiver.stats().macs();
        self.receiver.refuses(self.request(header), expected).await;
        if expected != RejectionReason::SignatureMismatch {
            assert_eq!(self.receiver.stats().macs(), macs, "a body was hashed");
        }
    }

    /// The same event, with a header that has the fault no longer.
    async fn handles(&self, header: impl AsRef<[u8]>) {
        self.receiver.handles(self.request(header)).await;
    }

    /// The twin of every refusal here: the plain right header.
    async fn handles_the_right_one(&self) {
        self.handles(format!("t={NOW},v1={}", self.right)).await;
    }
}

/// One event of CasPay, and its right signature under [`SECRET`].
struct CasPay {
    receiver: Receiver,
    body: String,
    right: String,
}

impl CasPay {
    fn new() -> Self {
        let body = caspay_body("evt_1");
        let right = const_hex::encode(hmac_sha256(SECRET, body.as_bytes()));
        Self { receiver: Receiver::new(caspay::provider()), body, right }
    }

    fn request(&self, header: impl AsRef<[u8]>) -> Request<Body> {
        with_signature(from_caspay(self.body.clone()), &caspay::provider(), header)
    }

    async fn refuses(&self, header: impl AsRef<[u8]>, expected: RejectionReason) {
        self.receiver.refuses(self.request(header), expected).await;
    }

    async fn handles_the_right_one(&self) {
        self.receiver.handles(self.request(&self.right)).await;
    }
}

#[tokio::test]
async fn t017_missing_header() {
    let caspay = CasPay::new();
    let mut request = caspay.request(&caspay.right);
    request.headers_mut().remove("x-caspay-signature").unwrap();
    caspay.receiver.refuses(request, RejectionReason::MissingHeader).await;
    assert_eq!(caspay.receiver.stats().macs(), 0, "the body was read");
    caspay.handles_the_right_one().await;
}

#[tokio::test]
async fn t018_empty_header() {
    let (caspay, casapay) = (CasPay::new(), CasaPay::new());
    for empty in ["", " ", "\t \t"] {
        caspay.refuses(empty, RejectionReason::MalformedHeader).await;
        casapay.refuses(empty, RejectionReason::MalformedHeader).await;
    }
    caspay.handles_the_right_one().await;
    casapay.handles_the_right_one().await;
}

#[tokio::test]
async fn t019_empty_signature() {
    let casapay = CasaPay::new();
    let right = &casapay.right;
    for header in [
        "v1=".to_owned(),
        "v1,".to_owned(),
        format!("t={NOW},v1="),
        format!("t={NOW},v1"),
        format!("t={NOW},v1= "),
        format!("t={NOW},v1={right},v1="),
        format!("t={NOW},v1=,v1={right}"),
    ] {
        casapay.refuses(header, RejectionReason::MalformedHeader).await;
    }
    casapay.handles_the_right_one().await;
}

#[tokio::test]
async fn t020_truncated_signature() {
    let (caspay, casapay) = (CasPay::new(), CasaPay::new());
    for digits in [2, 16, 32, 62] {
        caspay.refuses(&caspay.right[..digits], RejectionReason::SignatureMismatch).await;
        let header = format!("t={NOW},v1={}", &casapay.right[..digits]);
        casapay.refuses(header, RejectionReason::SignatureMismatch).await;
    }
    // The tail of the right MAC is no better than its head.
    caspay.refuses(&caspay.right[32..], RejectionReason::SignatureMismatch).await;
    caspay.handles_the_right_one().await;
    casapay.handles_the_right_one().await;
}

#[test]
fn t020_truncated_comparison_is_forbidden() {
    let lints = include_str!("../../clippy.toml");
    for method in ["verify_truncated_left", "verify_truncated_right"] {
        assert!(lints.contains(&format!("digest::mac::Mac::{method}")), "{method} is allowed");
    }
}

#[tokio::test]
async fn t021_signature_with_something_behind() {
    let caspay = CasPay::new();
    let right = &caspay.right;
    for header in [format!("{right}0"), format!("{right}00"), format!("{right}{right}"), format!("{right},")]
    {
        caspay.refuses(header, RejectionReason::SignatureMismatch).await;
    }
    caspay.handles_the_right_one().await;
}

#[tokio::test]
async fn t022_hexadecimal_digits_that_are_none() {
    let caspay = CasPay::new();
    let right = caspay.right.clone();
    let (head, tail) = right.split_at(10);
    for header in [
        right[..63].to_owned(),
        right[1..].to_owned(),
        format!("{head} {tail}"),
        format!("{head} {}", &tail[1..]),
        format!("0x{}", &right[2..]),
        format!("0x{right}"),
        format!("{}g", &right[..63]),
        format!("\"{right}\""),
    ] {
        caspay.refuses(header, RejectionReason::SignatureMismatch).await;
    }
    caspay.handles_the_right_one().await;
}

#[tokio::test]
async fn t022_blanks_around_are_trimmed() {
    let caspay = CasPay::new();
    caspay.receiver.handles(caspay.request(format!(" \t{}\t ", caspay.right))).await;
    let casapay = CasaPay::new();
    casapay.handles(format!("\t t={NOW} ,\t v1={} ", casapay.right)).await;
}

#[tokio::test]
async fn t023_upper_case_digits() {
    let caspay = CasPay::new();
    assert_ne!(caspay.right, caspay.right.to_uppercase());
    caspay.receiver.handles(caspay.request(caspay.right.to_uppercase())).await;
    let casapay = CasaPay::new();
    casapay.handles(format!("t={NOW},v1={}", casapay.right.to_uppercase())).await;
}

#[tokio::test]
async fn t024_bytes_that_are_no_text() {
    let (caspay, casapay) = (CasPay::new(), CasaPay::new());
    for byte in 0x80..=0xff {
        caspay.refuses([byte; 64], RejectionReason::SignatureMismatch).await;
        let mut header = format!("t={NOW},v1={}", casapay.right).into_bytes();
        *header.last_mut().unwrap() = byte;
        casapay.refuses(&header, RejectionReason::SignatureMismatch).await;
        casapay.refuses([byte; 64], RejectionReason::MalformedHeader).await;
    }
    caspay.handles_the_right_one().await;
    casapay.handles_the_right_one().await;
}

/// HMAC-SHA1 of `caspay_body("evt_1")` under [`SECRET`], computed with Python's `hmac`.
const RIGHT_SHA1: &str = "fe53ac87ed32aa9b39a323ef2d5a4aec151e0439";

#[tokio::test]
async fn t025_algorithm_is_never_taken_from_the_wire() {
    let acme = Provider::builder("acme")
        .signature(SignatureScheme::hmac_sha256("x-acme-signature").with_prefix("sha256="))
        .build()
        .unwrap();
    let receiver = Receiver::new(acme.clone());
    let body = caspay_body("evt_1");
    let request = || SignedRequest::new(&acme, &secret(), body.clone()).build();
    let right = const_hex::encode(hmac_sha256(SECRET, body.as_bytes()));
    let right_sha512 = {
        let mut mac = Hmac::<sha2::Sha512>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        const_hex::encode(mac.finalize().into_bytes())
    };
    for header in [
        right.clone(),
        format!("SHA256={right}"),
        format!("sha256:{right}"),
        format!("sha256 ={right}"),
        format!("sha512={right}"),
        format!("sha512={right_sha512}"),
        format!("sha1={RIGHT_SHA1}"),
    ] {
        let request = with_signature(request(), &acme, header);
        receiver.refuses(request, RejectionReason::MalformedHeader).await;
    }
    for header in [format!("sha256=sha256={right}"), format!("sha256={RIGHT_SHA1}")] {
        let request = with_signature(request(), &acme, header);
        receiver.refuses(request, RejectionReason::SignatureMismatch).await;
    }
    receiver.handles(with_signature(request(), &acme, format!("sha256={right}"))).await;

    // A scheme without a prefix takes none.
    let caspay = CasPay::new();
    for header in [format!("sha256={}", caspay.right), RIGHT_SHA1.to_owned(), right_sha512] {
        caspay.refuses(header, RejectionReason::SignatureMismatch).await;
    }
    caspay.handles_the_right_one().await;
}

#[tokio::test]
async fn t026_versions_of_a_signature() {
    let casapay = CasaPay::new();
    let right = &casapay.right;
    casapay.refuses(format!("t={NOW},v0={right}"), RejectionReason::MalformedHeader).await;
    casapay.refuses(format!("t={NOW},V1={right}"), RejectionReason::MalformedHeader).await;
    let both = format!("t={NOW},v0={right},v1={WRONG}");
    casapay.refuses(both, RejectionReason::SignatureMismatch).await;
    for header in [
        format!("t={NOW},v1={WRONG},v1={right}"),
        format!("t={NOW},v1={right},v1={WRONG}"),
        format!("t={NOW},v1=not-hexadecimal,v1={right}"),
        format!("t={NOW},v2={WRONG},v1={right}"),
        format!("v1={right},t={NOW}"),
    ] {
        let casapay = CasaPay::new();
        casapay.handles(header).await;
    }
}

#[tokio::test]
async fn t027_two_signature_header_lines() {
    let casapay = CasaPay::new();
    let right = format!("t={NOW},v1={}", casapay.right);
    let wrong = format!("t={NOW},v1={WRONG}");
    for (first, second) in [(&wrong, &right), (&right, &wrong), (&right, &right)] {
        let mut request = casapay.request(first);
        request.headers_mut().append("x-casapay-signature", second.parse().unwrap());
        casapay.receiver.refuses(request, RejectionReason::DuplicateHeader).await;
        assert_eq!(casapay.receiver.stats().macs(), 0, "the body was read");
    }
    casapay.handles_the_right_one().await;
}

#[tokio::test]
async fn t028_two_timestamps() {
    let casapay = CasaPay::new();
    let (old, right) = (NOW - 3_600, &casapay.right);
    for header in [
        format!("t={old},t={NOW},v1={right}"),
        format!("t={NOW},t={old},v1={right}"),
        format!("t={NOW},t={NOW},v1={right}"),
        format!("t={NOW},v1={right},t={NOW}"),
        format!("t={NOW},t=,v1={right}"),
    ] {
        casapay.refuses(header, RejectionReason::MalformedHeader).await;
    }
    casapay.handles_the_right_one().await;
}

/// A request whose timestamp is this very text, signed like any other.
fn timestamped(body: &str, text: &str) -> Request<Body> {
    let mut message = format!("{text}.").into_bytes();
    message.extend_from_slice(body.as_bytes());
    let header = format!("t={text},v1={}", const_hex::encode(hmac_sha256(SECRET, &message)));
    with_signature(from_casapay(body.to_owned()), &casapay::provider(), header)
}

#[tokio::test]
async fn t029_timestamp_that_is_no_number() {
    let casapay = CasaPay::new();
    casapay.refuses(format!("v1={}", casapay.right), RejectionReason::MalformedHeader).await;
    let arabic = "\u{661}\u{667}\u{660}\u{660}\u{660}\u{660}\u{660}\u{660}\u{660}\u{660}";
    for text in ["", "abc", "1.5", "1700000000.0", "0x6553f100", "1.7e9", "17 00000000", arabic] {
        let request = timestamped(&casapay.body, text);
        casapay.receiver.refuses(request, RejectionReason::MalformedTimestamp).await;
    }
    assert_eq!(casapay.receiver.stats().macs(), 0, "the body was read");
    casapay.receiver.handles(timestamped(&casapay.body, "1700000000")).await;
}

#[tokio::test]
async fn t030_timestamp_that_is_not_canonical() {
    let casapay = CasaPay::new();
    for text in ["+1700000000", "01700000000", "-5", "00", "-0", "1_700_000_000"] {
        let request = timestamped(&casapay.body, text);
        casapay.receiver.refuses(request, RejectionReason::MalformedTimestamp).await;
    }
    casapay.receiver.handles(timestamped(&casapay.body, "1700000000")).await;
}

/// The header's own digits are hashed: a MAC over the number written in another way is no match.
#[tokio::test]
async fn t030_raw_text_of_the_timestamp_is_signed() {
    let casapay = CasaPay::new();
    for text in ["+1700000000", "01700000000", "1700000000 "] {
        let mac = hmac_sha256(SECRET, format!("{text}.{}", casapay.body).as_bytes());
        let header = format!("t={NOW},v1={}", const_hex::encode(mac));
        casapay.refuses(header, RejectionReason::SignatureMismatch).await;
    }
    casapay.handles_the_right_one().await;
}

#[tokio::test]
async fn t031_extreme_timestamps() {
    let casapay = CasaPay::new();
    for text in [
        &i64::MIN.to_string(),
        &i64::MAX.to_string(),
        &u64::MAX.to_string(),
        &"9".repeat(19),
        &"1".repeat(20),
        &"1".repeat(1_000),
    ] {
        let request = timestamped(&casapay.body, text);
        casapay.receiver.refuses(request, RejectionReason::MalformedTimestamp).await;
    }
    for (text, expected) in [
        ("0", RejectionReason::TimestampTooOld),
        ("1", RejectionReason::TimestampTooOld),
        ("999999999999999999", RejectionReason::TimestampInFuture),
    ] {
        casapay.receiver.refuses(timestamped(&casapay.body, text), expected).await;
    }
    casapay.receiver.handles(timestamped(&casapay.body, "1700000000")).await;
}

#[tokio::test]
async fn t032_timestamp_in_milliseconds() {
    let casapay = CasaPay::new();
    let milliseconds = timestamped(&casapay.body, "1700000000000");
    casapay.receiver.refuses(milliseconds, RejectionReason::TimestampInFuture).await;
    casapay.receiver.handles(timestamped(&casapay.body, "1700000000")).await;
}

#[tokio::test]
async fn t033_thousands_of_candidates() {
    let casapay = CasaPay::new();
    let candidates = |wrong: usize| {
        let wrong = format!("v1={WRONG},").repeat(wrong);
        format!("t={NOW},{wrong}v1={}", casapay.right)
    };
    for header in [candidates(5_000), candidates(16), format!("t={NOW},{}", "v".repeat(64 * 1024))] {
        casapay.refuses(header, RejectionReason::MalformedHeader).await;
    }
    let long = casapay.receiver.send(casapay.request(format!("t={NOW},v1={}", "0".repeat(64 * 1024)))).await;
    assert_eq!(long.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(casapay.receiver.stats().macs(), 0, "the body was read");

    // Sixteen are as many as there may be. They cost one MAC, not sixteen.
    casapay.handles(candidates(15)).await;
    assert_eq!(casapay.receiver.stats().macs(), 1);
}

#[tokio::test]
async fn t033_one_mac_a_secret() {
    let secrets = secrets().with_secret("old", Secret::new("an-older-signing-secret").unwrap()).unwrap();
    let receiver = Receiver::with_secrets(casapay::provider(), secrets);
    let casapay = CasaPay { receiver, ..CasaPay::new() };
    let wrong = format!("t={NOW}{}", format!(",v1={WRONG}").repeat(16));
    casapay.refuses(wrong, RejectionReason::SignatureMismatch).await;
    assert_eq!(casapay.receiver.stats().macs(), 2);
    casapay.handles_the_right_one().await;
    assert_eq!(casapay.receiver.stats().macs(), 4);
}

/// What a CasaPay header says by the stated grammar, written down a second time: items separated by commas,
/// blanks around an item ignored, keys exact, one timestamp, at least one signature, other items skipped.
fn is_right(header: &str, right: &str) -> bool {
    let items = header.split(',').map(|item| item.trim_matches([' ', '\t']));
    let pairs: Vec<_> = items.filter_map(|item| item.split_once('=')).collect();
    let values = |key| pairs.iter().filter(move |pair| pair.0 == key).map(|pair| pair.1);
    values("t").collect::<Vec<_>>() == [NOW.to_string()]
        && values("v1").all(|signature| !signature.is_empty())
        && values("v1").any(|signature| signature == right)
}

/// Sends to a fresh receiver; whether it was accepted.
fn accepts(casapay: &CasaPay, header: &[u8]) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let receiver = Receiver::new(casapay::provider());
    let status = runtime.block_on(receiver.send(casapay.request(header))).status();
    assert!(status == StatusCode::OK || status == StatusCode::UNAUTHORIZED, "{status}");
    assert_eq!(receiver.calls.count(), usize::from(status == StatusCode::OK));
    status == StatusCode::OK
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn t034_grammar_of_the_header(
        timestamps in prop::sample::select(vec![
            vec!["t=1700000000"], vec!["t=1700000000"], vec!["t=1700000000"], vec!["t=1700000000"],
            vec![], vec!["t="], vec!["t"], vec!["T=1700000000"], vec!["t=1700000000", "t=1699999999"],
        ]),
        signatures in prop::sample::select(vec![
            vec!["v1=RIGHT"], vec!["v1=RIGHT"], vec!["v1=WRONG", "v1=RIGHT"], vec!["v1=RIGHT", "v1=RIGHT"],
            vec!["v1=WRONG"], vec!["v1="], vec!["v1"], vec!["v0=RIGHT"], vec!["v1=RIGHT", "v1="],
            vec!["v1==RIGHT"], vec![],
        ]),
        others in prop::sample::select(vec![
            vec![], vec![], vec!["x=1"], vec!["v0=WRONG"], vec!["="], vec!["x=1", "x=1"], vec!["x"], vec![""], vec![" "],
        ]),
        separator in prop::sample::select(vec![",", ",", ",", ", ", " ,", "\t,\t", ";", " ", ",,"]),
        ending in prop::sample::select(vec!["", "", "", " ", ",", ";"]),
        order in any::<prop::sample::Index>(),
    ) {
        let casapay = CasaPay::new();
        let mut pairs = [timestamps, signatures, others].concat();
        if !pairs.is_empty() {
            let first = order.index(pairs.len());
            pairs.rotate_left(first);
        }
        let header = pairs.join(separator) + ending;
        let header = header.replace("RIGHT", &casapay.right).replace("WRONG", WRONG);
        prop_assert_eq!(accepts(&casapay, header.as_bytes()), is_right(&header, &casapay.right), "{}", header);
    }

    #[test]
    fn t034_any_bytes_are_refused(
        bytes in proptest::collection::vec(
            any::<u8>().prop_filter("legal in a header", |byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)),
            0..200,
        ),
    ) {
        prop_assert!(!accepts(&CasaPay::new(), &bytes));
    }
}

#[test]
fn t034_separators_and_duplicates() {
    let casapay = CasaPay::new();
    let right = &casapay.right;
    for header in [
        format!("t={NOW};v1={right}"),
        format!("t={NOW} v1={right}"),
        format!("t={NOW},v1={right},v1="),
        format!("t={NOW},v1 ={right}"),
        format!("t={NOW},v1= {right}"),
    ] {
        assert!(!accepts(&casapay, header.as_bytes()), "{header}");
    }
    for header in [
        format!("t={NOW},v1={right}"),
        format!("t={NOW},v1={right},v1={right}"),
        format!("t={NOW},x=1,x=2,v1={right}"),
        format!("t={NOW},v1={right},"),
        format!(",t={NOW},,x,v1={right}"),
    ] {
        assert!(accepts(&casapay, header.as_bytes()), "{header}");
    }
}

#[tokio::test]
async fn t035_signature_in_the_query_or_a_trailer() {
    let caspay = CasPay::new();
    let unsigned = |uri: String| {
        let mut request = caspay.request(&caspay.right);
        request.headers_mut().remove("x-caspay-signature").unwrap();
        *request.uri_mut() = uri.parse().unwrap();
        request
    };
    let query = format!("/?x-caspay-signature={}", caspay.right);
    caspay.receiver.refuses(unsigned(query), RejectionReason::MissingHeader).await;

    let mut trailers = HeaderMap::new();
    trailers.insert("x-caspay-signature", caspay.right.parse().unwrap());
    let body = Full::new(Bytes::from(caspay.body.clone()));
    let trailer = async { Some(Ok(trailers)) };
    let request = unsigned("/".to_owned()).map(|_| body.clone().with_trailers(Box::pin(trailer)));
    caspay.receiver.refuses(request, RejectionReason::MissingHeader).await;

    caspay.receiver.handles(caspay.request(&caspay.right).map(|_| body)).await;
}

#[tokio::test]
async fn t037_signature_of_another_endpoint() {
    let ours = Secret::new("whsec_secret-of-the-endpoint-b").unwrap();
    let receiver = Receiver::with_secrets(caspay::provider(), ours.into());
    let body = caspay_body("evt_1");
    receiver.refuses(from_caspay(body.clone()), RejectionReason::SignatureMismatch).await;
    let right = hmac_sha256("whsec_secret-of-the-endpoint-b", body.as_bytes());
    let right = with_signature(from_caspay(body), &caspay::provider(), const_hex::encode(right));
    receiver.handles(right).await;
}

/// One secret for two schemes lets a signature of one stand for another body in the other: CasaPay signs
/// `t.body`, CasPay a body, so that CasaPay's signature is right for a CasPay body that begins with `t.`.
/// [`Secret`]'s documentation therefore says never to share one. What stands between it and a handler here is
/// only that `t.body` is no JSON object.
#[tokio::test]
async fn t037_secret_shared_by_two_schemes_is_unsafe() {
    let (caspay, casapay) = (CasPay::new(), CasaPay::new());
    casapay.handles_the_right_one().await;
    let captured = format!("{NOW}.{}", casapay.body);
    let crossed = with_signature(from_caspay(captured.clone()), &caspay::provider(), &casapay.right);
    let response = caspay.receiver.send(crossed).await;
    assert_eq!(reason(&response), Some(RejectionReason::Unreadable), "the signature is authentic");
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!((caspay.receiver.calls.count(), caspay.receiver.store_calls()), (0, 0));

    // With a secret of its own the endpoint refuses it as the forgery that it is.
    let own = Secret::new("whsec_a-secret-for-caspay-alone").unwrap();
    let receiver = Receiver::with_secrets(caspay::provider(), own.into());
    let crossed = with_signature(from_caspay(captured), &caspay::provider(), &casapay.right);
    receiver.refuses(crossed, RejectionReason::SignatureMismatch).await;
}

/// The other way round nothing stands in between: where CasPay could be made to sign a body that begins with
/// a timestamp and a full stop, its signature is right for the rest at CasaPay.
#[tokio::test]
async fn t037_shared_secret_passes_a_whole_event_across() {
    let casapay = CasaPay::new();
    let signed_by_caspay =
        const_hex::encode(hmac_sha256(SECRET, format!("{NOW}.{}", casapay.body).as_bytes()));
    casapay.handles(format!("t={NOW},v1={signed_by_caspay}")).await;

    let own = Secret::new("whsec_a-secret-for-casapay-alone").unwrap();
    let receiver = Receiver::with_secrets(casapay::provider(), own.into());
    let crossed = casapay.request(format!("t={NOW},v1={signed_by_caspay}"));
    receiver.refuses(crossed, RejectionReason::SignatureMismatch).await;
}

/// Base64 has more than one text for the same bytes; only the canonical one is taken.
#[tokio::test]
async fn t021_base64_is_canonical() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};

    let acme = Provider::builder("acme")
        .signature(SignatureScheme::hmac_sha256("x-acme-signature").with_encoding(Encoding::Base64))
        .build()
        .unwrap();
    let receiver = Receiver::new(acme.clone());
    let body = caspay_body("evt_1");
    let mac = hmac_sha256(SECRET, body.as_bytes());
    let right = STANDARD.encode(mac);
    let request = |header: &str| {
        with_signature(SignedRequest::new(&acme, &secret(), body.clone()).build(), &acme, header)
    };
    // The last character before the padding carries two bits that are not used.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let last = alphabet.find(right.as_bytes()[42] as char).unwrap();
    let loose = format!("{}{}=", &right[..42], &alphabet[last + 1..last + 2]);
    let mut refused = vec![loose, STANDARD_NO_PAD.encode(mac), const_hex::encode(mac), format!("{right}=")];
    refused.extend(Some(URL_SAFE.encode(mac)).filter(|url_safe| *url_safe != right));
    for header in refused {
        receiver.refuses(request(&header), RejectionReason::SignatureMismatch).await;
    }
    receiver.handles(request(&right)).await;
}
