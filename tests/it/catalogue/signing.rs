//! What a preset accepts.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue, Request};
use tower_webhook::testing::{SignedRequest, verifying_secret};
use tower_webhook::{
    ConfigError, Provider, RejectionReason, Retries, Secret, Secrets, SignatureScheme, TimestampUnit,
    Verifier, provider,
};

use super::presets;
use crate::support::NOW;

/// One of these is a key for each preset: of 32 bytes and more, in digits, in base64 and as text.
const SECRETS: [&str; 2] = [
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
];

/// The app key of Pusher, and the label of every secret here.
const KEY_ID: &str = "278d425bdf160c739803";

/// With the time where Linear has it.
const BODY: &str = r#"{"id":"evt_1","webhookTimestamp":1700000000000}"#;

fn keys(provider: &Provider) -> Option<(Secret, Verifier)> {
    SECRETS.iter().find_map(|text| {
        let secret = Secret::new(*text).unwrap();
        let verifying = verifying_secret(provider, &secret).ok()?;
        let secrets = Secrets::labelled([(KEY_ID.to_owned(), verifying)]).unwrap();
        Some((secret, provider.verifier(secrets).ok()?))
    })
}

/// What `provider` sends at [`NOW`].
fn signed(provider: &Provider, secret: &Secret) -> Request<Vec<u8>> {
    let key_id = (HeaderName::from_static("x-pusher-key"), HeaderValue::from_static(KEY_ID));
    let request = SignedRequest::new(provider, secret, BODY).at_unix(NOW).with_header(key_id.0, key_id.1);
    let (parts, _) = request.build().into_parts();
    Request::from_parts(parts, BODY.into())
}

fn judge(verifier: &Verifier, request: &Request<Vec<u8>>, at: u64) -> Option<RejectionReason> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
    verifier.verify_request(request, now).err().map(|rejection| rejection.reason())
}

#[test]
fn every_preset_accepts_what_it_signs_and_no_other_body() {
    let mut unsigned = BTreeSet::new();
    for (name, provider) in presets() {
        let (secret, verifier) = keys(&provider).unwrap_or_else(|| panic!("{name}: no key fits"));
        let mut request = signed(&provider, &secret);
        assert_eq!(judge(&verifier, &request, NOW), None, "{name}");
        request.body_mut()[8] ^= 1;
        if provider.describe().not_signed().any(|part| part == "body") {
            unsigned.insert(name);
            assert_eq!(judge(&verifier, &request, NOW), None, "{name} says that no body is signed");
        } else {
            let reason = judge(&verifier, &request, NOW);
            assert_eq!(reason, Some(RejectionReason::SignatureMismatch), "{name}");
        }
    }
    assert!(unsigned.into_iter().eq(["gitlab-token", "mailomat", "plivo", "telegram"]));
}

#[test]
fn every_header_that_a_description_names_is_authenticated() {
    for (name, provider) in presets() {
        let (secret, verifier) = keys(&provider).unwrap();
        for header in provider.describe().headers() {
            let mut request = signed(&provider, &secret);
            // Of the names that one header may have, the request has the first.
            let Some(value) = request.headers().get(header) else { continue };
            let mut other = value.as_bytes().to_vec();
            let last = other.iter().rposition(u8::is_ascii_alphanumeric).unwrap();
            other[last] = if other[last] == b'0' { b'1' } else { b'0' };
            request.headers_mut().insert(header, HeaderValue::from_bytes(&other).unwrap());
            assert!(judge(&verifier, &request, NOW).is_some(), "{name}: {header}");
            request.headers_mut().remove(header);
            assert!(judge(&verifier, &request, NOW).is_some(), "{name} without {header}");
        }
    }
}

#[test]
fn every_preset_refuses_what_is_older_than_its_tolerance() {
    let mut timed = 0;
    for (name, provider) in presets() {
        let (secret, verifier) = keys(&provider).unwrap();
        let request = signed(&provider, &secret);
        let Some(tolerance) = provider.tolerance().map(|tolerance| tolerance.as_secs()) else {
            assert!(provider.describe().not_signed().any(|part| part == "time"), "{name}");
            assert_eq!(judge(&verifier, &request, NOW + 100 * 365 * 86_400), None, "{name}");
            continue;
        };
        timed += 1;
        for at in [NOW - tolerance, NOW + tolerance] {
            assert_eq!(judge(&verifier, &request, at), None, "{name}");
        }
        let stale = judge(&verifier, &request, NOW + tolerance + 1);
        assert_eq!(stale, Some(RejectionReason::TimestampTooOld), "{name}");
        let early = judge(&verifier, &request, NOW - tolerance - 1);
        assert_eq!(early, Some(RejectionReason::TimestampInFuture), "{name}");
    }
    assert_eq!(timed, 31);
}

/// Who signs a URL cannot verify before it is given.
#[test]
fn a_signed_url_must_be_given() {
    let lacking = provider::catalogue().iter().filter(|preset| {
        let error = preset.provider().verifier(Secret::new(SECRETS[0]).unwrap()).err();
        error == Some(ConfigError::NoPublicUrl)
    });
    assert!(lacking.map(provider::Preset::name).eq(["hubspot", "plivo", "square", "trello"]));
}

/// Where a horizon is documented, the retention outlasts it; the one sender that retries for a month included.
#[test]
fn retries_are_known_or_not() {
    let retries = |name| provider::find(name).unwrap().provider().retries();
    let never = provider::catalogue().iter().filter(|preset| preset.provider().retries() == Retries::Never);
    assert!(never.map(provider::Preset::name).eq(["github", "woocommerce"]));
    assert_eq!(
        retries("adyen"),
        Retries::Documented { horizon: Duration::from_secs(30 * 86_400), resigned: false }
    );
    // No preset refuses the retries that it knows of.
    let mut stale = presets().filter(|(_, provider)| match (provider.retries(), provider.tolerance()) {
        (Retries::Documented { horizon, resigned: false }, Some(tolerance)) => tolerance < horizon,
        _ => false,
    });
    assert_eq!(stale.next().map(|(name, _)| name), None);
}

/// Diddo's own part of the description does not get in the way of the user's.
#[test]
fn diddo_takes_any_scheme() {
    use tower_webhook::{Envelope, diddo};

    let scheme = SignatureScheme::hmac_sha256("x-invented").with_timestamp_header("x-invented-time");
    let scheme = scheme.with_timestamp_unit(TimestampUnit::Millis);
    let diddo = diddo::provider(scheme, Envelope::identified_by_digest()).unwrap();
    let (secret, verifier) = keys(&diddo).unwrap();
    let mut request = signed(&diddo, &secret);
    assert_eq!(judge(&verifier, &request, NOW), None);
    request.body_mut()[0] = b'[';
    assert_eq!(judge(&verifier, &request, NOW), Some(RejectionReason::SignatureMismatch));
    assert_eq!((diddo.name(), diddo.event_types().count()), ("diddo", 6));

    let broken = diddo::provider(SignatureScheme::hmac_sha256("not a header"), Envelope::json("/id"));
    assert_eq!(broken.unwrap_err(), ConfigError::InvalidHeaderName { name: "not a header".to_owned() });
}
