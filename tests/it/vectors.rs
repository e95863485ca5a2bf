//! Vectors that were not computed by this crate: what was signed elsewhere must verify here, and nothing else.

pub(crate) mod collection;
mod presets;

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use tower_webhook::{
    Accepted, ConfigError, Provider, RejectionReason, Secret, Secrets, SignatureScheme, casapay, caspay,
};

use crate::support::{Receiver, accepted, reason};

/// One signed request, and who receives it when.
struct Case {
    name: String,
    secrets: Vec<Shown>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// What the provider has on record, where it signs that.
    url: Option<String>,
    /// Since 1970.
    now: Duration,
}

/// A secret as the provider shows it, with the name that a header gives it.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Shown {
    Text(String),
    Named { id: String, secret: String },
}

impl Case {
    fn secrets(&self) -> Result<Secrets, ConfigError> {
        let secrets = self.secrets.iter().enumerate().map(|(index, shown)| match shown {
            Shown::Text(text) => Ok((index.to_string(), Secret::weak(text)?)),
            Shown::Named { id, secret } => Ok((id.clone(), Secret::weak(secret)?)),
        });
        Secrets::labelled(secrets.collect::<Result<Vec<_>, ConfigError>>()?)
    }

    /// How many keys are tried: one, where the request names it.
    fn tried(&self) -> u64 {
        let named = self.secrets.iter().any(|shown| matches!(shown, Shown::Named { .. }));
        if named { 1 } else { self.secrets.len() as u64 }
    }
}

/// What a receiver makes of a case: `verified`, or why not, in one word.
async fn verdict(provider: Provider, case: &Case) -> String {
    let provider = match case.url.as_deref().map(|url| provider.clone().with_public_url(url)) {
        Some(Ok(provider)) => provider,
        Some(Err(_)) => return "unusable_url".to_owned(),
        None => provider,
    };
    // What is no key of this provider shows when the two meet.
    let secrets = case.secrets().and_then(|secrets| {
        provider.verifier(secrets)?;
        case.secrets()
    });
    let secrets = match secrets {
        Ok(secrets) => secrets,
        Err(ConfigError::EmptySecret) => return "empty_secret".to_owned(),
        Err(
            ConfigError::UndecodableSecret { .. }
            | ConfigError::WhitespaceInSecret
            | ConfigError::ByteOrderMarkInSecret,
        ) => {
            return "unusable_secret".to_owned();
        }
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
    receiver.clock.set_unix(case.now.as_secs());
    receiver.clock.advance(Duration::from_nanos(case.now.subsec_nanos().into()));
    let response = receiver.send(request).await;
    let (stats, handled) = (receiver.stats(), receiver.calls.count());
    match reason(&response) {
        // A handshake is answered once it is verified, and is no event.
        None if accepted(&response) == Some(Accepted::Handshake) => {
            assert!(response.status().is_success(), "{}", case.name);
            assert_eq!((handled, receiver.store_calls()), (0, 0), "{}", case.name);
            assert_eq!(stats.macs(), case.tried(), "{}", case.name);
            "verified".to_owned()
        }
        // A body that is no event is verified all the same, and then no event.
        None | Some(RejectionReason::Unreadable) => {
            let expected = if handled == 1 { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
            assert_eq!(response.status(), expected, "{}", case.name);
            assert_eq!(stats.macs(), case.tried(), "{}", case.name);
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
    secrets: Vec<Shown>,
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_hex: Option<String>,
    url: Option<String>,
    now: u64,
    expect: String,
}

impl Derived {
    /// The case, and what must come of it.
    fn into_case(self) -> (Case, String) {
        let Self { name, secrets, headers, body, body_hex, url, now, expect } = self;
        let body = match (body, body_hex) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(digits)) => const_hex::decode(digits).unwrap(),
            _ => panic!("{name}: a case has one body"),
        };
        (Case { name, secrets, headers, body, url, now: Duration::from_secs(now) }, expect)
    }
}

/// Runs a file of ours that must be right; how often each verdict came.
async fn run_derived(provider: Provider, file: &str) -> BTreeMap<String, usize> {
    let (verdicts, wrong) = compare_derived(provider, file).await;
    assert!(wrong.is_empty(), "{wrong:#?}");
    verdicts
}

/// Runs a file of ours; how often each verdict came, and which were wrong.
async fn compare_derived(provider: Provider, file: &str) -> (BTreeMap<String, usize>, Vec<String>) {
    let mut verdicts = BTreeMap::new();
    let mut wrong = Vec::new();
    for derived in serde_json::from_str::<Vec<Derived>>(file).unwrap() {
        let (case, expect) = derived.into_case();
        let found = verdict(provider.clone(), &case).await;
        if found != expect {
            wrong.push(format!("{}: expected {expect}, found {found}", case.name));
        }
        *verdicts.entry(found).or_default() += 1;
    }
    (verdicts, wrong)
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
            secrets: vec![Shown::Text(secret)],
            headers: vec![("x-signature".to_owned(), vector.hmac_sha256)],
            body: const_hex::decode(vector.data_hex).unwrap(),
            url: None,
            now: Duration::ZERO,
        };
        assert_eq!(verdict(raw_body(), &case).await, "verified", "{}", case.name);
        case.body[0] ^= 1;
        assert_eq!(verdict(raw_body(), &case).await, "signature_mismatch", "{}", case.name);
        ran.push(vector.case);
    }
    assert_eq!(ran, [2, 4]);
}
