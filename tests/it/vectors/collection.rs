//! The larger collection: vectors that providers, their SDKs and specifications published, and others derived from
//! their documentation. It is not part of the repository; where it is not there, its test says so and does not run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use tower_webhook::provider::{catalogue, find};
use tower_webhook::{Encoding, KeyEncoding, Part, Provider, SignatureScheme};

use super::{Case, Shown, verdict};

/// What the collection calls the schemes whose preset has another name; others differ in `_` for `-`.
const CALLED: [(&str, &str); 8] = [
    ("adyen_payload", "adyen"),
    ("convoy_sha512_hex", "convoy"),
    ("gitlab_signing", "gitlab"),
    ("hubspot_v3", "hubspot"),
    ("lemonsqueezy", "lemon-squeezy"),
    ("plivo_v2", "plivo"),
    ("twitter", "x"),
    ("websub_sha256", "websub"),
];

/// Schemes for which it states no tolerance, and samples of any age.
const UNDATED: [&str; 3] = ["sanity", "discord", "convoy-advanced"];

/// Presets of which it has no vector.
const WITHOUT: [&str; 5] = ["cashfree", "polar", "typeform", "webflow", "woocommerce"];

/// Schemes of the collection without a preset: those that parse the body first, plain hashes, JWT, HTTP message
/// signatures, parts that nothing keeps apart, and older forms of what has a preset.
const NOT_SHIPPED: [&str; 25] = [
    "adyen_item",
    "adyen_notification",
    "braintree",
    "cloudinary_sha256",
    "convoy_sha512_base64",
    "figma",
    "github_sha1",
    "hub_list_sha256",
    "hub_sha512",
    "hubspot_v1",
    "hubspot_v2",
    "mailgun",
    "mercadopago",
    "messagebird_jwt",
    "outpost_legacy",
    "plaid_jwt",
    "rfc9421_ed25519",
    "rfc9421_ed25519_strict",
    "rfc9421_hmac",
    "rfc9421_rsa_pss",
    "rfc9530_content_digest",
    "scalr",
    "sendgrid",
    "twilio",
    "zendesk_legacy_doc",
];

/// Where it is.
pub(crate) fn path() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/vectors.json");
    std::env::var_os("TOWER_WEBHOOK_VECTORS").map_or_else(beside, PathBuf::from)
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    scheme: String,
    secret: Option<Shown>,
    secrets: Option<Vec<Shown>>,
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_b64: Option<String>,
    body_repeat: Option<Repeat>,
    url: String,
    now: f64,
    expect: String,
    #[serde(default)]
    alt: Vec<String>,
    #[serde(default, rename = "override")]
    changes: BTreeMap<String, Value>,
    #[serde(default)]
    illegal_header_value: bool,
}

#[derive(Deserialize)]
struct Repeat {
    byte: String,
    count: usize,
}

impl Vector {
    fn case(&self) -> Case {
        let body = match (&self.body, &self.body_b64, &self.body_repeat) {
            (Some(text), None, None) => text.clone().into_bytes(),
            (None, Some(base64), None) => STANDARD.decode(base64).unwrap(),
            (None, None, Some(Repeat { byte, count })) => byte.repeat(*count).into_bytes(),
            _ => panic!("{}: not one body", self.name),
        };
        let secrets = match (&self.secret, &self.secrets) {
            (Some(secret), None) => vec![secret.clone()],
            (None, Some(secrets)) => secrets.clone(),
            _ => panic!("{}: neither one secret nor many", self.name),
        };
        Case {
            name: self.name.clone(),
            secrets,
            headers: self.headers.clone(),
            body,
            url: Some(self.url.clone()),
            // Milliseconds are written as a fraction, which may lie a hair below.
            now: Duration::from_secs_f64(self.now + 0.000_5),
        }
    }

    /// The preset that receives it, where there is one.
    fn preset(&self) -> Option<&'static str> {
        let named = self.scheme.replace('_', "-");
        let called = CALLED.iter().find(|(scheme, _)| *scheme == self.scheme);
        find(called.map_or(named.as_str(), |(_, preset)| preset)).map(|preset| preset.name())
    }

    fn provider(&self, preset: &str) -> Provider {
        if !self.changes.is_empty() {
            return self.changed(preset);
        }
        let provider = find(preset).unwrap().provider();
        if UNDATED.contains(&preset) { provider.with_tolerance(Duration::MAX).unwrap() } else { provider }
    }

    /// The scheme of this preset with something else in one or more places, described anew.
    fn changed(&self, preset: &str) -> Provider {
        let change = |key: &str| self.changes.get(key).and_then(Value::as_str);
        let header = match preset {
            "caspay" => "x-caspay-signature",
            "convoy" | "convoy-advanced" => "x-convoy-signature",
            "websub" => self.changes["signature.from"]["header"].as_str().unwrap(),
            other => panic!("{}: nobody expected that {other} is changed", self.name),
        };
        let mut scheme = match change("algorithm") {
            Some("hmac-sha256") | None => SignatureScheme::hmac_sha256(header),
            Some("hmac-sha512") => SignatureScheme::hmac_sha512(header),
            Some(other) => panic!("{}: {other}", self.name),
        };
        scheme = match change("key") {
            Some("hex") => scheme.with_key_encoding(KeyEncoding::Hex),
            None => scheme,
            Some(other) => panic!("{}: {other}", self.name),
        };
        scheme = match change("signature.encoding") {
            Some("base64") => scheme.with_encoding(Encoding::Base64),
            Some("hex") | None => scheme,
            Some(other) => panic!("{}: {other}", self.name),
        };
        scheme = match preset {
            "websub" => scheme.with_prefix("sha256="),
            "convoy-advanced" => {
                let tolerance = self.changes["timestamp.tolerance"].as_u64().unwrap();
                scheme
                    .with_pairs("t", "v1")
                    .with_signed([Part::Timestamp, Part::literal(","), Part::Body])
                    .with_tolerance(Duration::from_secs(tolerance))
            }
            _ => scheme,
        };
        Provider::builder("changed").signature(scheme).build().unwrap()
    }

    /// The words any of which is right.
    fn expected(&self) -> Vec<&str> {
        if self.illegal_header_value {
            return vec!["illegal_header_value"];
        }
        // Where others find no match for each request, no receiver can be built: the secret ends with a newline or is
        // no point of the curve, the URL is none.
        let unusable = match self.name.split_once('/').map_or(self.name.as_str(), |(_, case)| case) {
            "secret-with-trailing-newline" | "discord-other-key" => Some("unusable_secret"),
            _ if self.url.contains(' ') => Some("unusable_url"),
            _ => None,
        };
        // Of the one scheme with two signature headers it takes an empty one for absent, of all others it does not.
        if self.name == "box/empty-header" {
            assert_eq!(self.expect, "missing_header");
            return vec!["malformed_header"];
        }
        if let Some(unusable) = unusable {
            assert_eq!(self.expect, "signature_mismatch", "{}", self.name);
            return vec![unusable];
        }
        [&self.expect].into_iter().chain(&self.alt).map(|reason| our_word(&self.scheme, reason)).collect()
    }
}

/// What the collection's reasons are called here.
fn our_word<'a>(scheme: &str, reason: &'a str) -> &'a str {
    match reason {
        "valid" => "verified",
        // The field is the timestamp in the body.
        "missing_field" if scheme == "linear" => "malformed_timestamp",
        // A header that lacks a field, or has one twice, does not follow the grammar.
        "missing_field" | "duplicate_field" => "malformed_header",
        "missing_header"
        | "duplicate_header"
        | "malformed_header"
        | "malformed_timestamp"
        | "timestamp_too_old"
        | "timestamp_in_future"
        | "signature_mismatch"
        | "unsupported_algorithm"
        | "empty_secret" => reason,
        other => panic!("{other} cannot happen in these schemes"),
    }
}

#[tokio::test]
#[allow(clippy::print_stderr, reason = "a test that does not run, or not all of it, says so")]
async fn vectors_of_every_preset() {
    let path = path();
    let Ok(file) = std::fs::read_to_string(&path) else {
        eprintln!("!!! SKIPPED: there is no collection of vectors at {}", path.display());
        return;
    };
    let vectors: Vec<Vector> = serde_json::from_str(&file).unwrap();
    let (mut ran, mut others) = (BTreeMap::<_, usize>::new(), BTreeMap::<_, usize>::new());
    let (mut verified, mut wrong) = (0, Vec::new());
    for vector in &vectors {
        let Some(preset) = vector.preset() else {
            *others.entry(vector.scheme.as_str()).or_default() += 1;
            continue;
        };
        let expected = vector.expected();
        let found = verdict(vector.provider(preset), &vector.case()).await;
        if !expected.contains(&found.as_str()) {
            wrong.push(format!("{preset}: {}: expected {expected:?}, found {found}", vector.name));
        }
        verified += usize::from(found == "verified");
        *ran.entry(preset).or_default() += 1;
    }
    let total = ran.values().sum::<usize>();
    eprintln!("{total} vectors of {} presets; without one: {others:?}", ran.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
    // A scheme that is not shipped is so on purpose: see the chapter on writing a provider, and `verify_trait`.
    let foreign: Vec<_> = others.keys().filter(|scheme| !NOT_SHIPPED.contains(*scheme)).collect();
    assert!(foreign.is_empty(), "{foreign:?} have no preset any more, or are new");
    assert!(total >= 650 && verified >= 200 && verified <= total - 300, "{verified} of {total} verified");
    for preset in catalogue() {
        let name = preset.name();
        assert_eq!(ran.contains_key(name), !WITHOUT.contains(&name), "{name}");
    }
}
