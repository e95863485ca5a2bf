//! The questions in their order: what can be seen first, then what a signature proves, then what evidence speaks for.

use std::cell::Cell;
use std::time::SystemTime;

use http::header::HOST;
use http::{HeaderMap, Request, Uri};
use zeroize::Zeroizing;

use super::{Cause, Configured, Diagnosis, bodies, head, json, keys, times};
use crate::error::{ConfigError, RejectionReason};
use crate::handshake::HandshakeError;
use crate::layer::DEFAULT_BODY_LIMIT;
use crate::provider::Provider;
use crate::signature::secret::SOLE_LABEL;
use crate::signature::trial::{Trial, post};
use crate::signature::{Authenticator, Head, Presented, PublicUrl, ResolvedScheme, Secret, SignedTimestamp};

pub(super) fn reason<B: AsRef<[u8]>>(
    provider: &Provider,
    configured: &Configured<'_>,
    request: &Request<B>,
    at: SystemTime,
) -> Diagnosis {
    // Receivers look at it before anything else.
    if *request.method() != http::Method::POST {
        return Diagnosis::new(
            Cause::Method,
            "The request is no POST: a receiver answers 405, unless it is a handshake.",
            "Capture the delivery itself; or look for what made another request of it, such as a redirect.",
        );
    }
    let (headers, body) = (request.headers(), request.body().as_ref());
    let found = match provider.authenticator() {
        Authenticator::Data(scheme) => {
            by_scheme(provider, scheme, configured, request.uri(), headers, body, at)
        }
        Authenticator::Code { .. } => by_code(provider, configured.secret, headers, body, at),
    };
    if found.is_verified() && bodies::is_encoded(headers) {
        let encoded = Diagnosis::new(
            Cause::EncodedBody,
            "The signature is right, but `content-encoding` says that the body is compressed: a receiver answers 415.",
            "Have the sender leave the body as it is, or what decompresses it take the header away.",
        );
        return Diagnosis { signed_at: found.signed_at, tries: found.tries, ..encoded };
    }
    let limit = provider.body_limit().unwrap_or(DEFAULT_BODY_LIMIT);
    if found.is_verified() && body.len() > limit {
        let large = Diagnosis::new(
            Cause::BodyTooLarge,
            format!(
                "The signature is right, but the body has {} bytes, and a receiver takes {limit} unless it is told \
                 otherwise: it answers 413.",
                body.len()
            ),
            "Raise `WebhookLayer::with_body_limit`, if the provider sends as much; and the limit of what stands before \
             the receiver.",
        );
        return Diagnosis { signed_at: found.signed_at, tries: found.tries, ..large };
    }
    // One that cannot be answered is unreadable; to sign an answer is nobody's business here.
    let answered = || provider.handshakes().signed(headers, body, || None);
    let is_handshake =
        found.is_verified() && matches!(answered(), Some(Ok(_) | Err(HandshakeError::NoSigner)));
    Diagnosis { is_handshake, ..found }
}

fn by_scheme(
    provider: &Provider,
    scheme: &ResolvedScheme,
    configured: &Configured<'_>,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
    at: SystemTime,
) -> Diagnosis {
    let secret = configured.secret;
    if scheme.lacks_url() {
        return no_url(provider);
    }
    let presented = match scheme.present(headers) {
        Ok(presented) => presented,
        Err(reason) => return head::refused(provider, scheme, headers, reason),
    };
    // Not that of the request: a router in between may have changed it.
    let none = Uri::default();
    let key = Secret::weak(secret).and_then(|secret| scheme.key_of(&secret));
    let case = Case {
        provider,
        scheme,
        presented: &presented,
        head: post(&none, headers),
        uri,
        body,
        secret,
        label: configured.label,
        key: key.as_ref().ok(),
        at,
        tries: Cell::new(0),
    };
    let problem = key.as_ref().err();
    let mut found = case.authentic().unwrap_or_else(|| case.not_authentic(problem));
    if found.signed_at.is_none() {
        found.signed_at = presented.timestamp.as_ref().map(SignedTimestamp::seconds);
    }
    found.tries = case.tries.get();
    found
}

/// A request that can be read, and what is known beside it.
struct Case<'a> {
    provider: &'a Provider,
    scheme: &'a ResolvedScheme,
    presented: &'a Presented,
    head: Head<'a>,
    uri: &'a Uri,
    body: &'a [u8],
    secret: &'a str,
    label: Option<&'a str>,
    key: Option<&'a Zeroizing<Vec<u8>>>,
    at: SystemTime,
    /// How many signatures were computed.
    tries: Cell<u32>,
}

impl Case<'_> {
    fn holds(&self, trial: &Trial<'_>) -> bool {
        self.tries.set(self.tries.get() + 1);
        self.scheme.holds(self.head, self.presented, trial)
    }

    /// With the configured key and the request as it is, from which one thing after another is changed.
    fn trial(&self) -> Option<Trial<'_>> {
        Some(Trial { key: self.key?, body: self.body, timestamp: None, url: None })
    }

    /// The verdict where the signature is right.
    fn authentic(&self) -> Option<Diagnosis> {
        if !self.holds(&self.trial()?) {
            return None;
        }
        if let Some(other) = self.other_key_id() {
            return Some(other);
        }
        let in_body;
        let timestamp = match self.scheme.body_timestamp() {
            None => self.presented.timestamp.as_ref(),
            Some(path) => match path.read(self.scheme.unit(), self.body) {
                Ok(timestamp) => {
                    in_body = timestamp;
                    Some(&in_body)
                }
                Err(reason) => {
                    return Some(head::refused(self.provider, self.scheme, self.head.headers, reason));
                }
            },
        };
        let signed_at = timestamp.map(SignedTimestamp::seconds);
        let late = match (timestamp, self.scheme.tolerance()) {
            (Some(timestamp), Some(tolerance)) => {
                times::judge(self.scheme.unit(), timestamp, tolerance, self.at)
            }
            _ => None,
        };
        let fine = || Diagnosis::new(Cause::Verified, "The signature is right.", "");
        Some(Diagnosis { signed_at, ..late.unwrap_or_else(fine) })
    }

    /// Whether the request names another key than the one by which it verifies.
    fn other_key_id(&self) -> Option<Diagnosis> {
        let (id, header) = (self.presented.key_id.as_deref()?, self.scheme.key_id_header()?);
        let label = self.label.unwrap_or(SOLE_LABEL);
        if label.as_bytes() == id {
            return None;
        }
        let found = Diagnosis::new(
            Cause::KeyId,
            format!(
                "The signature is right, but `{header}` names the key, and the secret is not labelled with that name: \
                 a receiver looks for another secret."
            ),
            format!("Give the secret the label that `{header}` has, as `Secrets::labelled` does."),
        );
        // What the receiver calls it was said, or not.
        Some(Diagnosis { proven: self.label.is_some(), ..found })
    }

    fn not_authentic(&self, problem: Option<&ConfigError>) -> Diagnosis {
        let proven = self.other_key().or_else(|| self.other_body()).or_else(|| self.other_json());
        let proven = proven.or_else(|| self.other_url()).or_else(|| self.other_time());
        proven.or_else(|| self.other_scheme()).unwrap_or_else(|| self.unproven(problem))
    }

    fn other_key(&self) -> Option<Diagnosis> {
        let readings = keys::readings(self.scheme, self.secret, self.key.map(|key| &***key));
        let reading = readings.iter().find(|reading| {
            self.holds(&Trial { key: &reading.key, body: self.body, timestamp: None, url: None })
        })?;
        let (name, how) = (self.provider.name(), &reading.how);
        let expected = self.provider.describe();
        Some(Diagnosis::new(
            Cause::SecretKind,
            format!(
                "The signature is right when the secret is {how}. The key of {name} is {}.",
                expected.key()
            ),
            "Copy the secret once more, whole, as the provider shows it, and nothing around it.",
        ))
    }

    fn other_body(&self) -> Option<Diagnosis> {
        if !self.scheme.template().covers_body() {
            return None;
        }
        let trial = self.trial()?;
        let others = bodies::others(self.head.headers, self.body);
        let (what, _) = others.iter().find(|(_, body)| self.holds(&Trial { body, ..trial.clone() }))?;
        Some(Diagnosis::new(
            Cause::ChangedBody,
            format!("The signature is right for another body: this one {what}."),
            "Verify the bytes as they arrive, before anything reads them as text; capture them with a tool that keeps \
             them, such as `curl --data-binary`.",
        ))
    }

    fn other_json(&self) -> Option<Diagnosis> {
        if !self.scheme.template().covers_body() {
            return None;
        }
        let trial = self.trial()?;
        let name = json::find(self.body, |body| self.holds(&Trial { body, ..trial.clone() }))?;
        Some(Diagnosis::new(
            Cause::ReserialisedJson,
            format!("The signature is right for the same JSON, written {name}."),
            "Something parsed the body and wrote it again: verify the raw bytes, before any JSON middleware.",
        ))
    }

    /// The configured URL as another scheme or with another end, which are the commonest mistakes; or the one that the
    /// request names.
    fn other_url(&self) -> Option<Diagnosis> {
        if !self.scheme.template().signs_url() {
            return None;
        }
        let (trial, url) = (self.trial()?, self.scheme.url()?.as_str());
        let ended = match url.strip_suffix('/') {
            Some(without) => without.to_owned(),
            None => format!("{url}/"),
        };
        let mut others = vec![("configured with a slash at its end more or less", ended)];
        if let Some(rest) = url.strip_prefix("http://") {
            others.push(("configured with https in the place of http", format!("https://{rest}")));
        } else if let Some(rest) = url.strip_prefix("https://") {
            others.push(("configured with http in the place of https", format!("http://{rest}")));
        }
        if let Some((path, _)) = url.split_once('?') {
            others.push(("configured without a query", path.to_owned()));
        }
        let host = self.uri.authority().map(|authority| authority.as_str());
        let host = host.or_else(|| self.head.headers.get(HOST)?.to_str().ok());
        if let Some(host) = host {
            let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
            for (what, scheme) in [
                ("that the request names by its host and path, with https", "https"),
                ("that the request names by its host and path, with http", "http"),
            ] {
                others.push((what, format!("{scheme}://{host}{path}")));
            }
        }
        let (what, _) = others.iter().find(|(_, url)| {
            PublicUrl::new(url).is_ok_and(|url| self.holds(&Trial { url: Some(&url), ..trial.clone() }))
        })?;
        Some(Diagnosis::new(
            Cause::PublicUrl,
            format!("The signature is right for another URL: the one {what}."),
            "Configure the URL letter for letter as the provider has it on record.",
        ))
    }

    fn other_time(&self) -> Option<Diagnosis> {
        let (trial, timestamp) = (self.trial()?, self.presented.timestamp.as_ref()?);
        let unit = self.scheme.unit();
        let others = times::others(self.provider, unit, timestamp, self.head.headers, self.body);
        let (what, _) = others
            .iter()
            .find(|(_, text)| self.holds(&Trial { timestamp: Some(text.as_bytes()), ..trial.clone() }))?;
        Some(Diagnosis::new(
            Cause::OtherEvent,
            format!("The signature is right for this body with another timestamp: {what}."),
            "The header's timestamp was changed, or signature and timestamp are those of two deliveries.",
        ))
    }

    fn other_scheme(&self) -> Option<Diagnosis> {
        let is_body_alone = self.provider.describe().signed() == "{body}";
        if is_body_alone || !self.scheme.template().covers_body() {
            return None;
        }
        self.tries.set(self.tries.get() + 1);
        self.scheme.signs(self.key?, self.body, self.presented).then(|| {
            let name = self.provider.name();
            let description = self.provider.describe();
            Diagnosis::new(
                Cause::OtherScheme,
                format!(
                    "The signature covers the body alone, with the right secret; {name} signs `{}`.",
                    description.signed()
                ),
                "Whoever signed it follows another scheme: correct the sender, or choose another preset.",
            )
        })
    }

    /// What else is signed, and may be another than it was.
    fn beside_body(&self) -> String {
        let mut said = String::new();
        if self.scheme.template().signs_url() {
            said.push_str(
                " The URL is signed, too: compare host, port, path and query with what the provider has on record.",
            );
        }
        let headers: Vec<_> =
            self.scheme.template().headers().map(|names| format!("`{}`", names.first())).collect();
        if !headers.is_empty() {
            said.push_str(&format!(
                " So is what these headers say, which must be as they were sent: {}.",
                headers.join(", ")
            ));
        }
        said
    }

    /// What remains is what can be seen, and what is likely.
    fn unproven(&self, problem: Option<&ConfigError>) -> Diagnosis {
        let name = self.provider.name();
        let covers_body = self.scheme.template().covers_body();
        // What can be seen of the body outweighs what a key looks like, as long as it is a key.
        if problem.is_none()
            && covers_body
            && let Some(evidence) = bodies::evidence(self.head.headers, self.body)
        {
            return Diagnosis::likely(
                Cause::ChangedBody,
                format!("{evidence}."),
                "Capture the request once more, with all bytes of its body, as they were on the wire.",
            );
        }
        if let Some(what) = keys::resembles(self.provider, self.scheme, self.secret) {
            return Diagnosis::likely(
                Cause::SecretKind,
                format!("The secret looks like {what}, not like what {name} signs with."),
                "Take the signing secret of the endpoint: the provider shows it beside the endpoint's URL.",
            );
        }
        if let Some(problem) = problem {
            let description = self.provider.describe();
            return Diagnosis::new(
                Cause::SecretKind,
                format!("The secret is no key of {name}: {}. It is {}.", said(problem), description.key()),
                "Take the signing secret of the endpoint, whole, as the provider shows it.",
            );
        }
        let untried = if self.body.len() > json::MAX_BYTES && covers_body {
            " The body is too long to try other forms of its JSON."
        } else {
            ""
        };
        let advice = if covers_body {
            "Either the secret is another: that of another endpoint, of test instead of live mode, or one that was \
             rotated. Or the body was changed in a way that cannot be undone: numbers written otherwise, keys sorted, \
             characters replaced. Compare both with the provider's; or the request is forged."
        } else {
            "Most likely the secret is that of another endpoint, of test instead of live mode, or one that was \
             rotated; or the request is forged."
        };
        let advice = format!("{advice}{}", self.beside_body());
        let what = if self.scheme.is_token() { "The token is another" } else { "The signature is not right" };
        Diagnosis::likely(
            Cause::OtherSecret,
            format!("{what}, and no usual mistake explains it.{untried}"),
            advice,
        )
    }
}

/// An error in the words of this answer: that of a key that does not decode would quote its label.
fn said(problem: &ConfigError) -> String {
    match problem {
        ConfigError::UndecodableSecret { expected, .. } => format!("it does not decode from {expected}"),
        other => other.to_string(),
    }
}

fn no_url(provider: &Provider) -> Diagnosis {
    Diagnosis::new(
        Cause::PublicUrl,
        format!("{} signs the endpoint's URL, and none is configured.", provider.name()),
        "Say the URL letter for letter as the provider has it on record.",
    )
}

/// Code that verifies is asked once: what it signs is not known here.
fn by_code(provider: &Provider, secret: &str, headers: &HeaderMap, body: &[u8], at: SystemTime) -> Diagnosis {
    let mut request = Request::new(body);
    *request.method_mut() = http::Method::POST;
    *request.headers_mut() = headers.clone();
    let verifier = match Secret::weak(secret).and_then(|secret| provider.verifier(secret)) {
        Ok(verifier) => verifier,
        Err(ConfigError::NoPublicUrl) => return no_url(provider),
        Err(problem) => {
            let explanation = format!("The secret is no key of {}: {}.", provider.name(), said(&problem));
            return Diagnosis::new(
                Cause::SecretKind,
                explanation,
                "Take the signing secret of the endpoint.",
            );
        }
    };
    let name = provider.name();
    match verifier.verify_request(&request, at) {
        Ok(proof) => {
            let fine = Diagnosis::new(Cause::Verified, "The signature is right.", "");
            Diagnosis { signed_at: proof.signed_at(), ..fine }
        }
        Err(rejection) => {
            let cause = match rejection.reason() {
                RejectionReason::MissingHeader => Cause::WrongHeader,
                RejectionReason::DuplicateHeader
                | RejectionReason::MalformedHeader
                | RejectionReason::MalformedTimestamp => Cause::MalformedHeader,
                RejectionReason::TimestampTooOld => Cause::Stale,
                RejectionReason::TimestampInFuture => Cause::Clock,
                _ => Cause::OtherSecret,
            };
            Diagnosis::likely(
                cause,
                format!("The code that verifies {name} says: {}.", rejection.reason().as_str()),
                "What it signs is known to it alone: look there.",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::provider::find;
    use crate::testing::{SignedRequest, diagnose};

    const NOW: u64 = 1_700_000_000;
    const SECRET: &str = "whsec_0123456789abcdef";
    const BODY: &str =
        r#"{"id":"evt_1","type":"invoice.paid","created":1699999000,"data":{"object":{"a":"b"}}}"#;

    fn signed(preset: &str, secret: &str, body: &str) -> Request<Vec<u8>> {
        let provider = find(preset).unwrap().provider().with_public_url("https://shop.example/hook").unwrap();
        let secret = Secret::weak(secret).unwrap();
        let request = SignedRequest::new(&provider, &secret, body.to_owned()).at_unix(NOW).build();
        request.map(|body| body.into_bytes().to_vec())
    }

    fn found(preset: &str, secret: &str, request: &Request<Vec<u8>>) -> Diagnosis {
        let provider = find(preset).unwrap().provider().with_public_url("https://shop.example/hook").unwrap();
        diagnose(&provider, secret, request, SystemTime::UNIX_EPOCH + Duration::from_secs(NOW))
    }

    fn cause(preset: &str, secret: &str, request: &Request<Vec<u8>>) -> (Cause, bool) {
        let found = found(preset, secret, request);
        assert!(found.tries <= 80, "{} signatures were computed", found.tries);
        (found.cause(), found.is_proven())
    }

    /// The same request with another body.
    fn with_body(request: &Request<Vec<u8>>, body: &str) -> Request<Vec<u8>> {
        request.clone().map(|_| body.as_bytes().to_vec())
    }

    #[test]
    fn every_preset_verifies_what_it_signs_and_nothing_else() {
        for preset in crate::provider::catalogue() {
            let development = crate::testing::development_secret(&preset.provider()).unwrap();
            let verifying = crate::testing::verifying_secret(&preset.provider(), &development).unwrap();
            let body = match preset.name() {
                "linear" => r#"{"webhookTimestamp":1700000000000}"#,
                _ => BODY,
            };
            let request = signed(preset.name(), development.expose(), body);
            let verdict = cause(preset.name(), verifying.expose(), &request);
            assert_eq!(verdict, (Cause::Verified, true), "{preset:?}");
            let other = "3".repeat(64);
            let (cause, _) = cause(preset.name(), &other, &request);
            assert!(matches!(cause, Cause::OtherSecret | Cause::SecretKind), "{preset:?}: {cause:?}");
        }
    }

    #[test]
    fn the_secret_is_read_in_other_ways() {
        let request = signed("casapay", SECRET, BODY);
        for wrong in ["0123456789abcdef", " whsec_0123456789abcdef\n", "\"whsec_0123456789abcdef\""] {
            assert_eq!(cause("casapay", wrong, &request), (Cause::SecretKind, true), "{wrong}");
        }
        // The same text, which is base64 for Standard Webhooks and text for CasaPay.
        let request = signed("standard-webhooks", "whsec_MDEyMzQ1Njc4OWFiY2RlZg==", BODY);
        let as_hex = const_hex::encode("0123456789abcdef");
        assert_eq!(cause("standard-webhooks", &as_hex, &request), (Cause::SecretKind, true));
        assert_eq!(cause("standard-webhooks", "not a key!", &request), (Cause::SecretKind, true));
        assert_eq!(cause("casapay", "", &signed("casapay", SECRET, BODY)), (Cause::SecretKind, true));
        assert_eq!(
            cause("casapay", "sk_live_0123456789", &signed("casapay", SECRET, BODY)),
            (Cause::SecretKind, false)
        );
    }

    #[cfg(feature = "ed25519")]
    #[test]
    fn a_private_key_is_told_from_a_public_one() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let request = signed("discord", seed, BODY);
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(cause("discord", public, &request), (Cause::Verified, true));
        assert_eq!(cause("discord", seed, &request), (Cause::SecretKind, true));
        assert!(found("discord", seed, &request).explanation().contains("private"));
        assert_eq!(cause("discord", SECRET, &request).0, Cause::SecretKind);
    }

    #[test]
    fn changes_of_the_body_are_undone() {
        let request = signed("casapay", SECRET, BODY);
        for changed in [format!("{BODY}\n"), format!(" {BODY}"), format!("\u{feff}{BODY}")] {
            assert_eq!(cause("casapay", SECRET, &with_body(&request, &changed)), (Cause::ChangedBody, true));
        }
        let pretty = serde_json::to_string_pretty(
            &serde_json::from_str::<serde_json::Value>(r#"{"a":[1,2]}"#).unwrap(),
        );
        let rewritten = with_body(&signed("casapay", SECRET, r#"{"a":[1,2]}"#), &pretty.unwrap());
        assert_eq!(cause("casapay", SECRET, &rewritten), (Cause::ReserialisedJson, true));
        let mut cut = with_body(&request, &BODY[..40]);
        cut.headers_mut().insert("content-length", BODY.len().into());
        assert_eq!(cause("casapay", SECRET, &cut), (Cause::ChangedBody, false));
        let emptied = signed("casapay", SECRET, "");
        assert_eq!(cause("casapay", SECRET, &with_body(&emptied, BODY)), (Cause::ChangedBody, true));
        // A body that is not signed cannot have been changed.
        let mailomat = with_body(&signed("mailomat", SECRET, BODY), "{}");
        assert_eq!(cause("mailomat", SECRET, &mailomat), (Cause::Verified, true));
    }

    #[test]
    fn times_are_told_apart() {
        let at = |text: &str| {
            let (provider, secret) = (find("casapay").unwrap().provider(), Secret::new(SECRET).unwrap());
            let request = SignedRequest::new(&provider, &secret, BODY).with_timestamp_text(text).build();
            request.map(|body| body.into_bytes().to_vec())
        };
        assert_eq!(cause("casapay", SECRET, &at("1699999700")), (Cause::Verified, true));
        assert_eq!(cause("casapay", SECRET, &at("1699999699")), (Cause::Stale, true));
        assert_eq!(cause("casapay", SECRET, &at("1700000301")), (Cause::Clock, true));
        assert_eq!(cause("casapay", SECRET, &at("1700000000000")), (Cause::Clock, true));
        assert_eq!(cause("casapay", SECRET, &at("01700000000")), (Cause::MalformedHeader, true));
        assert_eq!(found("casapay", SECRET, &at("1699999699")).signed_at(), Some(1_699_999_699));
        // What was signed when the event was created, with a newer timestamp in its header.
        let mut moved = at("1699999000");
        let value =
            moved.headers()["x-casapay-signature"].to_str().unwrap().replace("1699999000", "1700000000");
        moved.headers_mut().insert("x-casapay-signature", value.try_into().unwrap());
        assert_eq!(cause("casapay", SECRET, &moved), (Cause::OtherEvent, true));
    }

    #[test]
    fn another_scheme_under_the_right_secret_is_told() {
        let caspay = signed("caspay", SECRET, BODY);
        let mac = caspay.headers()["x-caspay-signature"].to_str().unwrap().to_owned();
        let mut request = signed("casapay", SECRET, BODY);
        let value = format!("t={NOW},v1={mac}").try_into().unwrap();
        request.headers_mut().insert("x-casapay-signature", value);
        assert_eq!(cause("casapay", SECRET, &request), (Cause::OtherScheme, true));
    }

    #[test]
    fn the_url_is_part_of_it() {
        let request = signed("square", SECRET, BODY);
        let with_url = |url: Option<&str>| {
            let provider = find("square").unwrap().provider();
            let provider = url.map_or(provider.clone(), |url| provider.with_public_url(url).unwrap());
            diagnose(&provider, SECRET, &request, SystemTime::UNIX_EPOCH).cause()
        };
        assert_eq!(with_url(None), Cause::PublicUrl);
        assert_eq!(with_url(Some("https://shop.example/hook")), Cause::Verified);
        for url in ["http://shop.example/hook", "https://shop.example/hook/", "https://shop.example/hook?x=1"]
        {
            assert_eq!(with_url(Some(url)), Cause::PublicUrl, "{url}");
        }
        assert_eq!(with_url(Some("https://other.example/hook")), Cause::OtherSecret);
    }

    #[test]
    fn headers_come_first() {
        let request = signed("caspay", SECRET, BODY);
        let diagnosis = found("casapay", SECRET, &request);
        assert_eq!(diagnosis.cause(), Cause::WrongHeader);
        assert!(diagnosis.presets().eq(["caspay"]) && diagnosis.to_string().contains("caspay"));
        let mut twice = request.clone();
        twice.headers_mut().append("x-caspay-signature", "00".parse().unwrap());
        assert_eq!(cause("caspay", SECRET, &twice), (Cause::MalformedHeader, true));
        for value in ["hello", "", "00"] {
            let mut malformed = request.clone();
            malformed.headers_mut().insert("x-caspay-signature", value.parse().unwrap());
            assert_eq!(cause("caspay", SECRET, &malformed), (Cause::MalformedHeader, true), "{value}");
        }
        let mut unsigned = signed("standard-webhooks", "whsec_MDEyMzQ1Njc4OWFiY2RlZg==", BODY);
        unsigned.headers_mut().remove("webhook-id");
        let diagnosis = found("standard-webhooks", "whsec_MDEyMzQ1Njc4OWFiY2RlZg==", &unsigned);
        assert_eq!(diagnosis.cause(), Cause::WrongHeader);
        assert!(diagnosis.explanation().contains("`webhook-id`"), "{diagnosis}");
        let mut renamed = request;
        let value = renamed.headers_mut().remove("x-caspay-signature").unwrap();
        renamed.headers_mut().insert("http_x_caspay_signature", value);
        assert!(found("caspay", SECRET, &renamed).explanation().contains("renamed"));
    }

    #[test]
    fn a_key_id_selects_the_secret() {
        let provider = find("pusher").unwrap().provider();
        let signing = Secret::new(SECRET).unwrap();
        let request = SignedRequest::new(&provider, &signing, BODY).with_key_id("app_1").build();
        let request = request.map(|body| body.into_bytes());
        let ask = |label| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
            let found = crate::testing::diagnose_labelled(&provider, SECRET, label, &request, at);
            (found.cause(), found.is_proven())
        };
        assert_eq!(ask("app_1"), (Cause::Verified, true));
        assert_eq!(ask("app_2"), (Cause::KeyId, true));
        let alone = diagnose(&provider, SECRET, &request, SystemTime::UNIX_EPOCH);
        assert_eq!((alone.cause(), alone.is_proven()), (Cause::KeyId, false));
        assert!(
            alone.to_string().contains("x-pusher-key") && !alone.to_string().contains("app_1"),
            "{alone}"
        );
    }

    #[test]
    fn what_a_receiver_does_not_take_does_not_verify() {
        let mut request = signed("casapay", SECRET, BODY);
        request.headers_mut().append("content-encoding", "identity".parse().unwrap());
        assert_eq!(cause("casapay", SECRET, &request), (Cause::Verified, true));
        request.headers_mut().append("content-encoding", "gzip".parse().unwrap());
        assert_eq!(cause("casapay", SECRET, &request), (Cause::EncodedBody, true));
        *request.method_mut() = http::Method::GET;
        assert_eq!(cause("casapay", SECRET, &request), (Cause::Method, true));
    }

    #[test]
    fn a_key_that_looks_like_another_is_no_excuse_for_the_body() {
        let key = "sk_live_0123456789abcdef";
        let request = signed("paystack", key, BODY);
        assert_eq!(cause("paystack", key, &request), (Cause::Verified, true));
        let changed = with_body(&request, &BODY.replace("evt_1", "evt_2"));
        assert_eq!(cause("paystack", key, &changed), (Cause::OtherSecret, false));
        let mut cut = with_body(&signed("casapay", SECRET, BODY), &BODY[..40]);
        cut.headers_mut().insert("content-length", BODY.len().into());
        assert_eq!(cause("casapay", "sk_live_0123456789", &cut), (Cause::ChangedBody, false));
    }

    #[test]
    fn the_plainest_changed_body_is_not_blamed_on_the_secret_alone() {
        let request = signed("casapay", SECRET, BODY);
        for changed in [BODY.replace("1699999000", "1699999001"), BODY.replace("evt_1", "evt_?")] {
            let found = found("casapay", SECRET, &with_body(&request, &changed));
            assert_eq!((found.cause(), found.is_proven()), (Cause::OtherSecret, false));
            assert!(found.advice().contains("body was changed in a way that cannot be undone"), "{found}");
        }
        for printed in ["[object Object]", "null", "b'{}'", "{\0}\0"] {
            let found = found("casapay", SECRET, &with_body(&request, printed));
            assert_eq!((found.cause(), found.is_proven()), (Cause::ChangedBody, false), "{printed}");
        }
        let quoted = with_body(&request, &serde_json::to_string(BODY).unwrap());
        assert_eq!(cause("casapay", SECRET, &quoted), (Cause::ChangedBody, true));
        // A token is sent beside the body, whose changes it does not see.
        let token = signed("gitlab-token", SECRET, BODY);
        assert!(
            !found("gitlab-token", "another-signing-secret", &token).advice().contains("body was changed")
        );
    }

    #[test]
    fn nothing_confidential_is_said() {
        let request = signed("casapay", SECRET, BODY);
        let mac =
            request.headers()["x-casapay-signature"].to_str().unwrap().rsplit('=').next().unwrap().to_owned();
        for secret in [SECRET, "another-signing-secret", "0123456789abcdef", "sk_live_0123456789", "{}"] {
            for body in [BODY, "{}", "evt_1\n"] {
                let said = format!("{:?}", found("casapay", secret, &with_body(&request, body)));
                assert!(
                    !said.contains(&mac) && !said.contains("evt_1") && !said.contains("0123456789"),
                    "{said}"
                );
                assert!(!said.contains("another-signing"), "{said}");
            }
        }
    }

    /// As many as the documentation says, whatever is signed.
    #[test]
    fn no_preset_and_no_body_takes_more_signatures() {
        let body = "{\"id\": \"evt_1\",\"created\":1699999000,\"a\":\"é/<'=+\\r\"}\r\n";
        let mut most = 0;
        for preset in crate::provider::catalogue() {
            let mut provider = preset.provider();
            if let Ok(url) = provider.clone().with_public_url("https://shop.example/hook?a=b") {
                provider = url;
            }
            let Some(secret) = crate::testing::development_secret(&provider) else { continue };
            let request = SignedRequest::new(&provider, &secret, body).at_unix(NOW).build();
            let mut request = request.map(|body| body.into_bytes());
            for (name, value) in [("host", "other.example"), ("date", "Tue, 14 Nov 2023 22:14:20 GMT")] {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
            for other in [
                "another-signing-secret",
                "whsec_MDEyMzQ1Njc4OWFiY2RlZg==",
                "0123456789abcdef0123456789abcdef",
            ] {
                let found = diagnose(&provider, other, &request, at);
                most = most.max(found.tries);
                assert!(found.tries <= 80, "{}: {}", preset.name(), found.tries);
            }
        }
        assert!(most > 40, "{most}: nothing was tried");
    }

    #[test]
    fn a_body_of_any_size_is_no_more_work() {
        let long = format!("[\"{}\"]", "é/<".repeat(100_000));
        let request = signed("casapay", SECRET, "{}");
        let diagnosis = found("casapay", "another-signing-secret", &with_body(&request, &long));
        assert_eq!(diagnosis.cause(), Cause::OtherSecret);
        assert!(diagnosis.explanation().contains("too long"));
        assert!(diagnosis.tries <= 80, "{}", diagnosis.tries);
    }
}
