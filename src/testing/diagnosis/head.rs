//! Headers that are missing, or not written as they should be.

use http::HeaderMap;

use super::{Cause, Diagnosis};
use crate::error::RejectionReason;
use crate::provider::{Provider, catalogue};
use crate::signature::{Authenticator, ResolvedScheme};

/// More presets than these share a header; the first of them will do.
const MAX_PRESETS: usize = 6;

/// Why the head of a request is refused.
pub(super) fn refused(
    provider: &Provider,
    scheme: &ResolvedScheme,
    headers: &HeaderMap,
    reason: RejectionReason,
) -> Diagnosis {
    let (name, header) = (provider.name(), scheme.header());
    let description = provider.describe();
    let value = description.header_value();
    match reason {
        RejectionReason::MissingHeader => missing(provider, scheme, headers),
        RejectionReason::DuplicateHeader => Diagnosis::new(
            Cause::MalformedHeader,
            format!("A header that {name} sends once is there twice, such as `{header}`."),
            "Look for a proxy that adds headers, or a client that appends where it should replace.",
        ),
        RejectionReason::MalformedTimestamp => Diagnosis::new(
            Cause::MalformedHeader,
            format!("The timestamp is not written as {name} writes it: {}.", timestamp_form(scheme)),
            "It is signed letter for letter: nothing may convert it.",
        ),
        RejectionReason::UnsupportedAlgorithm => Diagnosis::new(
            Cause::MalformedHeader,
            format!("A header of the request names another algorithm or version than {name} signs with."),
            "Choose the algorithm of the preset at the provider, or another preset.",
        ),
        RejectionReason::SignatureMismatch => Diagnosis::new(
            Cause::MalformedHeader,
            format!(
                "`{header}` holds no signature: it should be `{value}`, {} long.",
                scheme.signature_form()
            ),
            "It was cut off, redacted or encoded otherwise: capture it again, or choose another preset.",
        ),
        _ => Diagnosis::new(
            Cause::MalformedHeader,
            format!(
                "`{header}`, or another header that {name} signs, is not written as it should be: `{value}`."
            ),
            "It was cut off or redacted, or is that of another version: capture it again, or choose another preset.",
        ),
    }
}

fn timestamp_form(scheme: &ResolvedScheme) -> &'static str {
    use crate::signature::TimestampUnit;

    match scheme.unit() {
        TimestampUnit::Seconds => "Unix seconds in digits",
        TimestampUnit::Millis => "Unix milliseconds in digits",
        TimestampUnit::Rfc3339 => "a date and time of RFC 3339",
    }
}

fn missing(provider: &Provider, scheme: &ResolvedScheme, headers: &HeaderMap) -> Diagnosis {
    let (name, header) = (provider.name(), scheme.header());
    if scheme.signature_headers().any(|header| headers.contains_key(header)) {
        let description = provider.describe();
        let all = description.headers().filter(|header| !headers.contains_key(*header));
        let all: Vec<_> = all.map(|header| format!("`{header}`")).collect();
        return Diagnosis::new(
            Cause::WrongHeader,
            format!("The signature is there, but {name} signs headers that are not: {}.", all.join(", ")),
            "Pass every header of the request on to the verification, and capture all of them.",
        );
    }
    if let Some(found) = headers.keys().find(|found| is_written_alike(found.as_str(), header.as_str())) {
        return Diagnosis::new(
            Cause::WrongHeader,
            format!("`{header}` is missing; `{found}` looks like it, renamed."),
            "A gateway renames headers: give the verification the name that the provider uses.",
        );
    }
    let presets = others(provider, headers);
    if presets.is_empty() {
        return Diagnosis::new(
            Cause::WrongHeader,
            format!(
                "`{header}` is missing, and there is no other provider's signature header that is known."
            ),
            "The request does not come from this provider, or something on its way takes headers out.",
        );
    }
    let one = if presets.len() == 1 { "" } else { "one of " };
    let explanation =
        format!("`{header}` is missing; the signature header of {one}{} is there.", presets.join(", "));
    let advice =
        format!("Verify it as a request of {one}{}, or look for a mistaken URL.", presets.join(", "));
    Diagnosis { presets, ..Diagnosis::new(Cause::WrongHeader, explanation, advice) }
}

/// Presets whose signature header is there: those that can read it, if any can.
fn others(provider: &Provider, headers: &HeaderMap) -> Vec<&'static str> {
    let (mut readable, mut named) = (Vec::new(), Vec::new());
    for preset in catalogue() {
        let other = preset.provider();
        let Authenticator::Data(scheme) = other.authenticator() else { continue };
        if other.name() == provider.name()
            || !scheme.signature_headers().any(|name| headers.contains_key(name))
        {
            continue;
        }
        if scheme.present(headers).is_ok() { &mut readable } else { &mut named }.push(preset.name());
    }
    let mut presets = if readable.is_empty() { named } else { readable };
    presets.truncate(MAX_PRESETS);
    presets
}

/// Whether a gateway may have made one name of the other: `HTTP_X_SIGNATURE` of `x-signature`.
fn is_written_alike(found: &str, wanted: &str) -> bool {
    let plain = |name: &str| name.replace(['-', '_'], "");
    let (found, wanted) = (plain(found), plain(wanted));
    found.strip_prefix("http").unwrap_or(&found) == wanted
        || found.strip_prefix("xoriginal").unwrap_or(&found) == wanted
        || found.strip_prefix("xforwarded").unwrap_or(&found) == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised_through_a_gateway() {
        for found in ["http_stripe_signature", "stripe_signature", "x-original-stripe-signature"] {
            assert!(is_written_alike(found, "stripe-signature"), "{found}");
        }
        assert!(!is_written_alike("x-signature", "stripe-signature"));
    }

    #[test]
    fn presets_that_can_read_the_header_come_alone() {
        let present = |name: &'static str, value: &str| {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static(name),
                http::HeaderValue::try_from(value).unwrap(),
            )]);
            others(&crate::casapay::provider(), &headers)
        };
        assert_eq!(present("x-caspay-signature", &"ab".repeat(32)), ["caspay"]);
        assert_eq!(present("x-hub-signature", &format!("sha1={}", "ab".repeat(20))), ["intercom"]);
        let both = present("x-hub-signature", "redacted");
        assert!(both.contains(&"intercom") && both.contains(&"bitbucket-server"), "{both:?}");
        assert!(present("x-nobody", "1").is_empty());
    }
}
