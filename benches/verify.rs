//! Verification against the raw HMAC over the same bytes: `cargo bench --bench verify`.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss)]

mod common;

use std::hint::black_box;
use std::time::SystemTime;

use common::{Subject, measure, print};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue};
use sha2::Sha256;
use tower_webhook::provider::{Preset, catalogue};
use tower_webhook::testing::SignedRequest;
use tower_webhook::{Provider, RejectionReason, Secret, Secrets, Verifier, casapay, caspay};

const SECRET: &str = "whsec_a-signing-secret-for-benchmarks";
const ROUNDS: usize = 41;

fn secret() -> Secret {
    Secret::new(SECRET).unwrap()
}

/// Headers over a body, and the same with one bit of the body flipped refused.
fn signed(provider: &Provider, verifier: &Verifier, body: &[u8]) -> HeaderMap {
    let request = SignedRequest::new(provider, &secret(), body.to_vec()).build();
    let headers = request.headers().clone();
    let mut flipped = body.to_vec();
    flipped[body.len() / 2] ^= 1;
    let refused = verifier.verify(&headers, &flipped, SystemTime::now()).unwrap_err();
    assert_eq!(refused.reason(), RejectionReason::SignatureMismatch);
    assert!(verifier.verify(&headers, body, SystemTime::now()).is_ok());
    headers
}

fn verifying<'a>(
    name: &str,
    goal: Option<f64>,
    verifier: &'a Verifier,
    headers: &'a HeaderMap,
    body: &'a [u8],
) -> Subject<'a> {
    let now = SystemTime::now();
    let run = move |()| {
        assert!(verifier.verify(black_box(headers), black_box(body), now).is_ok());
    };
    Subject::new(name, goal, move || vec![(); passes(body.len())], run)
}

/// So many that a round takes a few milliseconds whatever the size.
fn passes(size: usize) -> usize {
    (4 << 20) / (size + 2_048) + 1
}

fn main() {
    let key = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let (caspay, casapay) = (caspay::provider(), casapay::provider());
    let (hex, pairs) = (caspay.verifier(secret()).unwrap(), casapay.verifier(secret()).unwrap());
    let three = Secrets::new(Secret::new("the first signing secret").unwrap())
        .with_secret("second", Secret::new("the second signing secret").unwrap())
        .and_then(|secrets| secrets.with_secret("third", secret()))
        .unwrap();
    let three = caspay.verifier(three).unwrap();
    for (size, name, hex_goal, pairs_goal) in [
        (256, "256 B", 1.35, 1.5),
        (1 << 10, "1 KiB", 1.15, 1.2),
        (64 << 10, "64 KiB", 1.02, 1.02),
        (1 << 20, "1 MiB", 1.01, 1.01),
    ] {
        let body = vec![b'x'; size];
        let (hex_headers, pairs_headers) = (signed(&caspay, &hex, &body), signed(&casapay, &pairs, &body));
        let stamped = [b"1700000000.", &body[..]].concat();
        let raw = |message: &[u8]| {
            let mut mac = key.clone();
            mac.update(black_box(message));
            black_box(mac.finalize().into_bytes());
        };
        let hashing = |name, message| Subject::new(name, None, move || vec![message; passes(size)], raw);
        let subjects = vec![
            hashing("raw HMAC-SHA256 of the body, keyed state cloned", &body[..]),
            verifying("verify, hex header", Some(hex_goal), &hex, &hex_headers, &body),
            verifying("verify, hex header, three secrets", Some(3.0 * hex_goal), &three, &hex_headers, &body),
        ];
        print(&format!("verify {name}"), &measure(ROUNDS, subjects));
        let subjects = vec![
            hashing("raw HMAC-SHA256 of timestamp, `.` and body", &stamped[..]),
            verifying("verify, t=,v1= header", Some(pairs_goal), &pairs, &pairs_headers, &body),
        ];
        print(&format!("verify {name}"), &measure(ROUNDS, subjects));
    }
    candidates(&casapay, &pairs);
    presets();
}

/// Every preset that signs with HMAC-SHA256, each against the raw HMAC of what it signs; the goals are those of the two
/// grammars above, the second where a timestamp is signed.
fn presets() {
    let key = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    for (size, name, plain_goal, stamped_goal) in [(256, "256 B", 1.35, 1.5), (1 << 10, "1 KiB", 1.15, 1.2)] {
        let body = vec![b'x'; size];
        let mut table = Vec::new();
        for preset in catalogue().iter().filter_map(|preset| Prepared::new(preset, &body)) {
            let goal = if preset.provider.signs_timestamp() { stamped_goal } else { plain_goal };
            let raw = |()| {
                let mut mac = key.clone();
                mac.update(black_box(&preset.message));
                black_box(mac.finalize().into_bytes());
            };
            let subjects = vec![
                Subject::new("raw", None, || vec![(); passes(size)], raw),
                verifying(preset.name, Some(goal), &preset.verifier, &preset.headers, &body),
            ];
            table.extend(measure(ROUNDS / 2, subjects).pop());
        }
        table.sort_by(|one, other| one.ratio.total_cmp(&other.ratio));
        print(&format!("presets {name}, against the raw HMAC-SHA256 of what each signs"), &table);
    }
}

/// A request of a preset that signs with HMAC-SHA256.
struct Prepared {
    name: &'static str,
    provider: Provider,
    verifier: Verifier,
    headers: HeaderMap,
    /// As long as what is signed.
    message: Vec<u8>,
}

impl Prepared {
    fn new(preset: &Preset, body: &[u8]) -> Option<Self> {
        let url = "https://shop.example/hooks";
        let provider = preset.provider().with_public_url(url).unwrap();
        // Linear's timestamp is in the body, which is no JSON here.
        if provider.describe().algorithm() != "HMAC-SHA256" || preset.name() == "linear" {
            return None;
        }
        // In digits, it is a key in each encoding.
        let secret = || Secret::new("0123456789abcdef".repeat(4)).unwrap();
        let verifier = provider.verifier(secret()).unwrap();
        let headers = SignedRequest::new(&provider, &secret(), body.to_vec()).build().headers().clone();
        assert!(verifier.verify(&headers, body, SystemTime::now()).is_ok(), "{}", preset.name());
        let mut beside =
            provider.describe().signed().replace("{body}", "").replace("{timestamp}", "1700000000");
        beside = beside.replace("{method}", "POST").replace("{url}", url).replace("{url without query}", url);
        for (name, value) in &headers {
            beside = beside.replace(&format!("{{{name}}}"), value.to_str().unwrap());
        }
        let body = if provider.describe().signed().contains("{body}") { body } else { b"" };
        let message = [beside.as_bytes(), body].concat();
        Some(Self { name: preset.name(), provider, verifier, headers, message })
    }
}

/// A header of 900 candidates must cost what a refused header costs: no MAC is computed for it.
fn candidates(provider: &Provider, verifier: &Verifier) {
    let body = vec![b'x'; 1 << 10];
    let headers = signed(provider, verifier, &body);
    let name = provider.signature_header();
    let with = |value: String| HeaderMap::from_iter([(name.clone(), HeaderValue::try_from(value).unwrap())]);
    let many = with(format!("t=1700000000{}", format!(",v1={}", "ab".repeat(32)).repeat(900)));
    let malformed = with(format!("t=1700000000,t=1700000000,v1={}", "ab".repeat(32)));
    let (body, now) = (&body[..], SystemTime::now());
    let refusing = |name: &str, headers| {
        let run = move |()| {
            let refused = verifier.verify(black_box(headers), black_box(body), now).unwrap_err();
            assert_eq!(refused.reason(), RejectionReason::MalformedHeader);
        };
        Subject::new(name, None, || vec![(); 2_000], run)
    };
    let subjects = vec![
        refusing("a malformed header, refused", &malformed),
        refusing("900 candidates in one header, refused", &many),
        verifying("one candidate, verified", None, verifier, &headers, body),
    ];
    print("candidates", &measure(ROUNDS, subjects));
}
