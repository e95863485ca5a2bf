//! A provider in words: what to compare with its documentation, and what to know before one relies on it.

use std::fmt;
use std::time::Duration;

use http::HeaderName;

use super::{Provider, Retries};
use crate::envelope::{Identity, TypeSource};
use crate::signature::{Authenticator, Names, SchemeDescription, TimestampUnit};

/// What a [`Provider`] does with a request, in words: made by [`Provider::describe`] from the data that requests are
/// verified by. It displays as a few lines of text. The words may change in any release; compare none of them.
///
/// ```
/// use tower_webhook::provider::github;
///
/// let github = github::provider().describe();
/// assert_eq!(github.header_value(), "sha256=<hex>");
/// assert_eq!((github.algorithm(), github.signed()), ("HMAC-SHA256", "{body}"));
/// assert_eq!(
///     github.not_signed().collect::<Vec<_>>(),
///     ["time", "event id (x-github-delivery)", "event type (x-github-event)"]
/// );
/// assert_eq!(github.identity(), "digest of what is signed");
/// assert!(github.to_string().contains("answer within  10s"));
/// ```
#[derive(Clone, Debug)]
pub struct Description {
    name: String,
    scheme: SchemeDescription,
    not_signed: Vec<String>,
    identity: String,
    event_type: String,
    tolerance: Option<Duration>,
    answer_deadline: Option<Duration>,
    retries: Retries,
    handshakes: Vec<&'static str>,
    documentation: Option<String>,
}

impl Provider {
    /// The provider in words.
    #[must_use]
    pub fn describe(&self) -> Description {
        let scheme = match &self.authenticator {
            Authenticator::Data(scheme) => scheme.describe(),
            Authenticator::Code { verify, .. } => SchemeDescription {
                algorithm: "by code",
                headers: vec![verify.signature_header().clone()],
                value: "<signature>".to_owned(),
                signed: verify.describe(),
                key: "by code".to_owned(),
                timestamp: None,
                covers_body: true,
            },
        };
        Description {
            name: self.name.clone(),
            not_signed: self.not_signed(&scheme),
            scheme,
            identity: self.identity(),
            event_type: match self.envelope.type_source() {
                TypeSource::Path(path) => format!("{path} in the body"),
                TypeSource::Header(names) => one_of(names),
                TypeSource::Constant(event_type) => format!("always {event_type}"),
            },
            tolerance: self.tolerance(),
            answer_deadline: self.answer_deadline,
            retries: self.retries,
            handshakes: self.handshakes.in_words().to_vec(),
            documentation: self.documentation.clone(),
        }
    }

    fn not_signed(&self, scheme: &SchemeDescription) -> Vec<String> {
        let mut missing = Vec::new();
        if !scheme.covers_body {
            missing.push("body".to_owned());
        }
        // Whether code checks a timestamp is its own affair.
        if matches!(self.authenticator, Authenticator::Data(_)) && scheme.timestamp.is_none() {
            missing.push("time".to_owned());
        }
        if let Some(names) = self.envelope.unsigned_id() {
            missing.push(format!("event id ({})", one_of(names)));
        }
        if let TypeSource::Header(names) = self.envelope.type_source()
            && !self.envelope.type_is_signed()
        {
            missing.push(format!("event type ({})", one_of(names)));
        }
        missing
    }

    fn identity(&self) -> String {
        if let Some(names) = self.envelope.unsigned_id().filter(|_| self.envelope.trusts_unsigned_id()) {
            return format!("{}, a header that is not signed", one_of(names));
        }
        match self.envelope.identity() {
            Identity::Path(path) => format!("{path} in the body"),
            Identity::Header(names) => format!("{}, a signed header", one_of(names)),
            Identity::Digest if self.authenticator.covers_body() => "digest of what is signed".to_owned(),
            Identity::Digest | Identity::Body => "digest of the body".to_owned(),
            Identity::Nowhere => "none: every delivery is an event".to_owned(),
        }
    }
}

fn one_of(names: &Names) -> String {
    names.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(" or ")
}

impl Description {
    /// The provider's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The headers that a verification reads, under every name that they may have: first the one that carries the
    /// signature, then further ones of signatures, those of timestamp, version and key, and those that are signed.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.scheme.headers.iter()
    }

    /// How the signature header is written, such as `t=<timestamp>,v1=<hex>`.
    #[must_use]
    pub fn header_value(&self) -> &str {
        &self.scheme.value
    }

    /// The algorithm, such as `HMAC-SHA256`; `token` where nothing is signed.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        self.scheme.algorithm
    }

    /// The signed bytes, such as `{timestamp}.{body}`; empty for a token, and for code what
    /// [`Verify::describe`](crate::Verify::describe) says.
    #[must_use]
    pub fn signed(&self) -> &str {
        &self.scheme.signed
    }

    /// What matters and is not covered by the signature, so that whoever captured a request can change it: `body`,
    /// `time` (a captured request stays valid), `event id (<header>)`, `event type (<header>)`.
    pub fn not_signed(&self) -> impl Iterator<Item = &str> {
        self.not_signed.iter().map(String::as_str)
    }

    /// How the secret becomes a key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.scheme.key
    }

    /// What tells one event from another.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Where an event's type is.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// How far a signed timestamp may be off; `None` where none is signed.
    #[must_use]
    pub fn tolerance(&self) -> Option<Duration> {
        self.tolerance
    }

    /// How long the sender waits for an answer, where it says so.
    #[must_use]
    pub fn answer_deadline(&self) -> Option<Duration> {
        self.answer_deadline
    }

    /// What is known of its redeliveries.
    #[must_use]
    pub fn retries(&self) -> Retries {
        self.retries
    }

    /// What it asks for before it delivers, such as `signed challenge`: each is answered. The provider's pages say
    /// whether it asks; [`Handshake`](crate::Handshake) says what is answered.
    pub fn handshakes(&self) -> impl Iterator<Item = &str> {
        self.handshakes.iter().copied()
    }

    /// The page on which the provider documents its signature.
    #[must_use]
    pub fn documentation(&self) -> Option<&str> {
        self.documentation.as_deref()
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |what: &str, text: &str| writeln!(f, "  {what:14} {text}");
        let header = self.scheme.headers.first().map_or("", HeaderName::as_str);
        line("signature", &format!("{header}: {}", self.scheme.value))?;
        line("algorithm", self.scheme.algorithm)?;
        line("key", &self.scheme.key)?;
        line("signed", if self.scheme.signed.is_empty() { "nothing" } else { &self.scheme.signed })?;
        if !self.not_signed.is_empty() {
            line("not signed", &self.not_signed.join(", "))?;
        }
        if let Some(tolerance) = self.tolerance {
            let unit = match self.scheme.timestamp {
                Some(TimestampUnit::Millis) => "milliseconds",
                Some(TimestampUnit::Rfc3339) => "a date",
                Some(TimestampUnit::Seconds) | None => "seconds",
            };
            line("timestamp", &format!("{unit}, tolerance {tolerance:?}"))?;
        }
        line("event identity", &self.identity)?;
        line("event type", &self.event_type)?;
        let deadline = self.answer_deadline.map(|deadline| format!("{deadline:?}"));
        line("answer within", deadline.as_deref().unwrap_or("undocumented"))?;
        line(
            "retries",
            &match self.retries {
                Retries::Documented { horizon, resigned: true } => format!("for {horizon:?}, signed anew"),
                Retries::Documented { horizon, resigned: false } => format!("for {horizon:?}"),
                Retries::Undocumented => "undocumented".to_owned(),
                Retries::Never => "never".to_owned(),
            },
        )?;
        if !self.handshakes.is_empty() {
            line("handshake", &self.handshakes.join(", "))?;
        }
        line("documentation", self.documentation.as_deref().unwrap_or("none named"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RejectionReason;
    use crate::envelope::Envelope;
    use crate::provider::{caspay, find, plivo, pusher};
    use crate::signature::{Authentic, Secret, Unverified, Verify};

    fn describe(name: &str) -> Description {
        find(name).unwrap().provider().describe()
    }

    #[test]
    fn all_that_a_provider_does_is_one_page() {
        let expected = "  signature      webhook-signature: v1,<base64>
  algorithm      HMAC-SHA256
  key            the secret, decoded from base64 after whsec_
  signed         {webhook-id}.{timestamp}.{body}
  timestamp      seconds, tolerance 300s
  event identity webhook-id, a signed header
  event type     /type in the body
  answer within  15s
  retries        for 272100s, signed anew
  documentation  https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
";
        assert_eq!(describe("standard-webhooks").to_string(), expected);
    }

    #[test]
    fn what_is_not_signed_is_named() {
        let not_signed = |name: &str| describe(name).not_signed().collect::<Vec<_>>().join(", ");
        for (name, expected) in [
            ("stripe", ""),
            ("linear", "event id (linear-delivery)"),
            ("caspay", "time"),
            ("plivo", "body, time"),
            ("mailomat", "body"),
            ("telegram", "body, time"),
            ("shopify", "time, event id (x-shopify-webhook-id), event type (x-shopify-topic)"),
        ] {
            assert_eq!(not_signed(name), expected, "{name}");
        }
    }

    #[test]
    fn handshakes_are_named() {
        let handshakes = |name: &str| describe(name).handshakes().collect::<Vec<_>>().join(", ");
        for (name, expected) in [
            ("casapay", ""),
            ("slack", "signed challenge"),
            ("twitch", "signed challenge"),
            ("zoom", "token to sign"),
            ("xero", "signed empty list"),
            ("intercom", "signed ping"),
            ("dropbox", "GET with a challenge"),
            ("meta", "GET with your token"),
            ("websub", "GET with your topic"),
            ("trello", "HEAD"),
        ] {
            assert_eq!(handshakes(name), expected, "{name}");
        }
        let asks = Provider::builder("asks")
            .signature(crate::SignatureScheme::hmac_sha256("x-asks"))
            .handshake(crate::Handshake::any_origin())
            .handshake(crate::Handshake::head());
        let asks = asks.build().unwrap().describe().to_string();
        assert!(asks.contains("  handshake      OPTIONS with its origin, HEAD\n"), "{asks}");
    }

    #[test]
    fn identities_are_named() {
        let trusted = find("github").unwrap().provider().identify_by_unsigned_header().unwrap().describe();
        assert_eq!(trusted.identity(), "x-github-delivery, a header that is not signed");
        for (name, identity, event_type) in [
            ("caspay", "/id in the body", "/type in the body"),
            ("svix", "svix-id or webhook-id, a signed header", "/type in the body"),
            ("zoom", "digest of the body", "/event in the body"),
            ("gitlab-token", "idempotency-key, a header that is not signed", "/object_kind in the body"),
            ("shopify", "digest of what is signed", "x-shopify-topic"),
            ("dropbox", "none: every delivery is an event", "always dropbox.events"),
        ] {
            assert_eq!(
                (describe(name).identity(), describe(name).event_type()),
                (identity, event_type),
                "{name}"
            );
        }
    }

    #[test]
    fn keys_and_headers_are_named() {
        assert_eq!(caspay::provider().describe().key(), "the secret's text");
        assert_eq!(describe("telegram").key(), "the secret is the token");
        assert_eq!(
            pusher::provider().describe().key(),
            "the secret's text, of the secret whose label is in x-pusher-key"
        );
        let plivo = plivo::provider().describe();
        assert!(plivo.headers().eq(["x-plivo-signature-v2", "x-plivo-signature-v2-nonce"]));
        assert_eq!(describe("docusign").headers().count(), 16);
    }

    #[derive(Debug)]
    struct Odd(HeaderName);

    impl Verify for Odd {
        fn signature_header(&self) -> &HeaderName {
            &self.0
        }

        fn verify(&self, _: &Unverified<'_>, _: &Secret) -> Result<Authentic, RejectionReason> {
            Err(RejectionReason::SignatureMismatch)
        }

        fn describe(&self) -> String {
            "the odd bytes".to_owned()
        }
    }

    #[test]
    fn code_speaks_for_itself() {
        let odd = Provider::builder("odd")
            .verify_with(Odd(HeaderName::from_static("x-odd")))
            .envelope(Envelope::identified_by_digest().with_event_type_header("x-odd-type"))
            .build()
            .unwrap()
            .describe();
        assert_eq!((odd.name(), odd.signed(), odd.algorithm()), ("odd", "the odd bytes", "by code"));
        assert!(odd.headers().eq(["x-odd"]));
        assert!(odd.not_signed().eq(["event type (x-odd-type)"]));
        assert_eq!((odd.tolerance(), odd.documentation()), (None, None));
    }
}
