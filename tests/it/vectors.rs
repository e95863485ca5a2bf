//! Vectors that were not computed by this crate: what was signed elsewhere must verify here, and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::Value;
use tower_webhook::{
    ConfigError, Provider, RejectionReason, Secret, Secrets, SignatureScheme, casapay, caspay,
};

use crate::support::{Receiver, reason};

/// One signed request, and who receives it when.
struct Case {
    name: String,
    secrets: Vec<String>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    now: u64,
}

/// What a receiver makes of a case: `verified`, or why not, in one word.
async fn verdict(provider: Provider, case: &Case) -> String {
    let secrets = case.secrets.iter().enumerate().map(|(index, text)| {
        let secret = Secret::weak(text.clone())?;
        Ok((index.to_string(), secret))
    });
    let secrets = match secrets.collect::<Result<Vec<_>, ConfigError>>() {
        Ok(secrets) => Secrets::labelled(secrets).unwrap(),
        Err(ConfigError::EmptySecret) => return "empty_secret".to_owned(),
        Err(error) => panic!("{}: {error}", case.name),
    };
    let mut request = Request::post("/").body(Full::from(case.body.clone())).unwrap();
    for (name, value) in &case.headers {
        let name = HeaderName::try_from(name).unwrap();
        let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) else {
            return "illegal_header_value".to_owned();
        };
        request.headers_mut().append(name, value);
    }
    let receiver = Receiver::with_secrets(provider, secrets);
    receiver.clock.set_unix(case.now);
    let response = receiver.send(request).await;
    let (stats, handled) = (receiver.stats(), receiver.calls.count());
    match reason(&response) {
        // A body that is no event is verified all the same, and then no event.
        None | Some(RejectionReason::Unreadable) => {
            let expected = if handled == 1 { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
            assert_eq!(response.status(), expected, "{}", case.name);
            assert_eq!(stats.macs(), case.secrets.len() as u64, "{}", case.name);
            assert_eq!(stats.envelopes(), 1, "{}", case.name);
            "verified".to_owned()
        }
        Some(reason) => {
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{}: {reason}", case.name);
            let touched = (handled, receiver.store_calls(), stats.envelopes());
            assert_eq!(touched, (0, 0, 0), "{}: {reason}", case.name);
            reason.to_string()
        }
    }
}

/// A case of `tests/vectors`: see `make.py` there.
#[derive(Deserialize)]
struct Derived {
    name: String,
    secrets: Vec<String>,
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_hex: Option<String>,
    now: u64,
    expect: String,
}

/// Runs a file of ours; how often each verdict came.
async fn run_derived(provider: Provider, file: &str) -> BTreeMap<String, usize> {
    let mut verdicts = BTreeMap::new();
    let mut wrong = Vec::new();
    for derived in serde_json::from_str::<Vec<Derived>>(file).unwrap() {
        let Derived { name, secrets, headers, body, body_hex, now, expect } = derived;
        let body = match (body, body_hex) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(digits)) => const_hex::decode(digits).unwrap(),
            _ => panic!("{name}: a case has one body"),
        };
        let case = Case { name, secrets, headers, body, now };
        let found = verdict(provider.clone(), &case).await;
        if found != expect {
            wrong.push(format!("{}: expected {expect}, found {found}", case.name));
        }
        *verdicts.entry(found).or_default() += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    verdicts
}

#[tokio::test]
async fn caspay_as_documented() {
    let verdicts = run_derived(caspay::provider(), include_str!("../vectors/caspay.json")).await;
    let at_least = [
        ("verified", 20),
        ("signature_mismatch", 30),
        ("missing_header", 1),
        ("duplicate_header", 3),
        ("malformed_header", 3),
    ];
    assert_eq!(verdicts.len(), at_least.len(), "{verdicts:?}");
    for (verdict, least) in at_least {
        assert!(verdicts[verdict] >= least, "{verdict}: {verdicts:?}");
    }
}

#[tokio::test]
async fn casapay_as_documented() {
    let verdicts = run_derived(casapay::provider(), include_str!("../vectors/casapay.json")).await;
    let at_least = [
        ("verified", 30),
        ("signature_mismatch", 40),
        ("missing_header", 1),
        ("duplicate_header", 3),
        ("malformed_header", 12),
        ("malformed_timestamp", 18),
        ("timestamp_too_old", 3),
        ("timestamp_in_future", 4),
    ];
    assert_eq!(verdicts.len(), at_least.len(), "{verdicts:?}");
    for (verdict, least) in at_least {
        assert!(verdicts[verdict] >= least, "{verdict}: {verdicts:?}");
    }
}

/// A provider whose signature is the HMAC itself: the raw body, hexadecimal digits, nothing around them.
fn raw_body() -> Provider {
    Provider::builder("raw").signature(SignatureScheme::hmac_sha256("x-signature")).build().unwrap()
}

#[derive(Deserialize)]
struct Rfc4231 {
    case: u32,
    key_hex: String,
    data_hex: String,
    hmac_sha256: String,
}

/// The cases of RFC 4231 whose key is a text, as a [`Secret`] is; `agrees_with_rfc_4231` in `signature::mac`
/// runs them all.
#[tokio::test]
async fn rfc_4231_through_a_provider() {
    let mut ran = Vec::new();
    for vector in serde_json::from_str::<Vec<Rfc4231>>(include_str!("../vectors/rfc4231.json")).unwrap() {
        let key = const_hex::decode(vector.key_hex).unwrap();
        let Some(secret) = String::from_utf8(key).ok().filter(|text| Secret::weak(text).is_ok()) else {
            continue;
        };
        let mut case = Case {
            name: format!("case {}", vector.case),
            secrets: vec![secret],
            headers: vec![("x-signature".to_owned(), vector.hmac_sha256)],
            body: const_hex::decode(vector.data_hex).unwrap(),
            now: 0,
        };
        assert_eq!(verdict(raw_body(), &case).await, "verified", "{}", case.name);
        case.body[0] ^= 1;
        assert_eq!(verdict(raw_body(), &case).await, "signature_mismatch", "{}", case.name);
        ran.push(vector.case);
    }
    assert_eq!(ran, [2, 4]);
}

/// Where the larger collection is, which holds vectors that providers and specifications published.
pub(crate) fn collection() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/vectors.json");
    std::env::var_os("TOWER_WEBHOOK_VECTORS").map_or_else(beside, PathBuf::from)
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|entry| entry.as_str().unwrap().to_owned()).collect()
}

fn collected_case(vector: &Value) -> Case {
    let name = vector["name"].as_str().unwrap().to_owned();
    let secrets = match (&vector["secret"], &vector["secrets"]) {
        (Value::String(secret), Value::Null) => vec![secret.clone()],
        (Value::Null, secrets) => strings(secrets),
        _ => panic!("{name}: neither one secret nor many"),
    };
    let body = match (&vector["body"], &vector["body_b64"], &vector["body_repeat"]) {
        (Value::String(text), Value::Null, Value::Null) => text.clone().into_bytes(),
        (Value::Null, Value::String(base64), Value::Null) => STANDARD.decode(base64).unwrap(),
        (Value::Null, Value::Null, repeat) => {
            let count = usize::try_from(repeat["count"].as_u64().unwrap()).unwrap();
            repeat["byte"].as_str().unwrap().repeat(count).into_bytes()
        }
        _ => panic!("{name}: not one body"),
    };
    let headers = vector["headers"].as_array().unwrap().iter().map(|header| {
        let [name, value] = strings(header).try_into().unwrap();
        (name, value)
    });
    Case { headers: headers.collect(), secrets, body, now: vector["now"].as_u64().unwrap(), name }
}

/// What the collection's reasons are called here.
fn our_word(reason: &str) -> &str {
    match reason {
        "valid" => "verified",
        // A header that lacks a field, or has one twice, does not follow the grammar.
        "missing_field" | "duplicate_field" => "malformed_header",
        "missing_header"
        | "duplicate_header"
        | "malformed_header"
        | "malformed_timestamp"
        | "timestamp_too_old"
        | "timestamp_in_future"
        | "signature_mismatch"
        | "empty_secret" => reason,
        other => panic!("{other} cannot happen in these schemes"),
    }
}

/// The words any of which is right. A vector whose scheme is overridden with what cannot be configured here, a
/// key in hexadecimal digits that is no text or another hash, must not verify by accident.
fn expected<'a>(vector: &'a Value, case: &mut Case) -> Vec<&'a str> {
    if vector["illegal_header_value"] == true {
        return vec!["illegal_header_value"];
    }
    let mut words = vec![our_word(vector["expect"].as_str().unwrap())];
    words.extend(vector["alt"].as_array().into_iter().flatten().map(|word| our_word(word.as_str().unwrap())));
    if let Some(changes) = vector["override"].as_object() {
        assert!(changes.keys().all(|key| key == "key" || key == "algorithm"), "{}: {changes:?}", case.name);
        let mut supported = changes.get("algorithm").is_none_or(|algorithm| algorithm == "hmac-sha256");
        if changes.get("key").is_some_and(|key| key == "hex") {
            let keys =
                case.secrets.iter().map(|digits| String::from_utf8(const_hex::decode(digits).unwrap()));
            match keys.collect::<Result<Vec<_>, _>>() {
                Ok(keys) if keys.iter().all(|key| Secret::weak(key).is_ok()) => case.secrets = keys,
                _ => supported = false,
            }
        }
        if !supported {
            return vec!["signature_mismatch"];
        }
    }
    words
}

#[tokio::test]
#[allow(clippy::print_stderr, reason = "a test that does not run says so")]
async fn collected_vectors_of_caspay_and_casapay() {
    let path = collection();
    let Ok(file) = std::fs::read_to_string(&path) else {
        eprintln!("!!! SKIPPED: there is no collection of vectors at {}", path.display());
        return;
    };
    let vectors: Vec<Value> = serde_json::from_str(&file).unwrap();
    let (mut ran, mut verified, mut wrong) = (0, 0, Vec::new());
    for vector in &vectors {
        let provider = match vector["scheme"].as_str().unwrap() {
            "caspay" => caspay::provider(),
            "casapay" => casapay::provider(),
            _ => continue,
        };
        let mut case = collected_case(vector);
        let expected = expected(vector, &mut case);
        let found = verdict(provider, &case).await;
        if !expected.contains(&found.as_str()) {
            wrong.push(format!("{}: expected {expected:?}, found {found}", case.name));
        }
        ran += 1;
        verified += usize::from(found == "verified");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(ran >= 100, "only {ran} ran");
    assert!(verified >= 30 && verified <= ran - 50, "{verified} of {ran} verified");
}
