//! Why a captured request does not verify: the class of the mistake, and what to do about it.
//!
//! A receiver knows that a signature is wrong and no more. Whoever has the request, the secret and some time can try
//! what usually goes wrong: [`keys`] reads the secret in other ways, [`bodies`] and [`json`] undo what frameworks do
//! to bodies, [`times`] looks at clocks, [`head`] at headers, and [`reason`] asks them in turn.

mod bodies;
mod head;
mod json;
mod keys;
mod reason;
mod times;

use std::fmt;
use std::time::SystemTime;

use http::Request;

use crate::provider::Provider;

/// Says why a request does not verify, or that it does.
///
/// `secret` is the text that your receiver is configured with, whatever it is: a text that [`Secret`](crate::Secret)
/// would refuse is among the things that are diagnosed. `request` is what arrived, its body byte for byte, and `at` the
/// time at which it did. A provider that signs the URL is told it by [`Provider::with_public_url`]; the request's URI
/// and its header `host` are used to find out whether it was told another one. The method is used, too: a receiver takes
/// nothing but POST.
///
/// The secret is taken for one that is given alone, which no provider's key id names: for a provider that sends one,
/// such as Pusher, ask [`diagnose_labelled`].
///
/// It computes at most 80 signatures over the body. Other forms of JSON are tried for bodies of at most 256 KiB; what
/// is undone otherwise (white space at the ends, line ends, a byte order mark, an encoding) for all.
///
/// The answer holds no secret, no signature and nothing of the body. It is for whoever runs the receiver: told to a
/// sender, it would help to forge.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_webhook::testing::{Cause, diagnose, sign};
/// use tower_webhook::{Secret, casapay};
///
/// let (provider, now) = (casapay::provider(), SystemTime::now());
/// let request = sign(&provider, &Secret::new("whsec_0123456789abcdef")?, r#"{"id":"evt_1"}"#);
/// let request = request.map(|body| body.into_bytes());
///
/// assert!(diagnose(&provider, "whsec_0123456789abcdef", &request, now).is_verified());
///
/// // Copied without its beginning.
/// let diagnosis = diagnose(&provider, "0123456789abcdef", &request, now);
/// assert_eq!(diagnosis.cause(), Cause::SecretKind);
///
/// // Parsed and written again on its way.
/// let rewritten = request.clone().map(|_| "{\n  \"id\": \"evt_1\"\n}");
/// let diagnosis = diagnose(&provider, "whsec_0123456789abcdef", &rewritten, now);
/// assert_eq!(diagnosis.cause(), Cause::ReserialisedJson);
///
/// let later = now + Duration::from_secs(3_600);
/// let diagnosis = diagnose(&provider, "whsec_0123456789abcdef", &request, later);
/// assert_eq!(diagnosis.cause(), Cause::Stale);
/// assert!(diagnosis.is_proven());
/// # Ok::<(), tower_webhook::ConfigError>(())
/// ```
#[must_use]
pub fn diagnose<B: AsRef<[u8]>>(
    provider: &Provider,
    secret: &str,
    request: &Request<B>,
    at: SystemTime,
) -> Diagnosis {
    reason::reason(provider, &Configured { secret, label: None }, request, at)
}

/// As [`diagnose`], for a secret that the receiver has under a label ([`Secrets::labelled`](crate::Secrets::labelled)).
/// Where the provider names the key in a header, it is the label that a receiver chooses the secret by.
///
/// ```
/// use std::time::SystemTime;
/// use tower_webhook::testing::{Cause, SignedRequest, diagnose, diagnose_labelled};
/// use tower_webhook::{Secret, provider::pusher};
///
/// let (provider, secret) = (pusher::provider(), Secret::new("a-signing-secret")?);
/// let request = SignedRequest::new(&provider, &secret, "{}").with_key_id("app_1").build();
/// let request = request.map(|body| body.into_bytes());
///
/// let ask = |label| diagnose_labelled(&provider, "a-signing-secret", label, &request, SystemTime::now()).cause();
/// assert_eq!(ask("app_1"), Cause::Verified);
/// assert_eq!(ask("app_2"), Cause::KeyId);
/// assert_eq!(diagnose(&provider, "a-signing-secret", &request, SystemTime::now()).cause(), Cause::KeyId);
/// # Ok::<(), tower_webhook::ConfigError>(())
/// ```
#[must_use]
pub fn diagnose_labelled<B: AsRef<[u8]>>(
    provider: &Provider,
    secret: &str,
    label: &str,
    request: &Request<B>,
    at: SystemTime,
) -> Diagnosis {
    reason::reason(provider, &Configured { secret, label: Some(label) }, request, at)
}

/// What a receiver is configured with.
struct Configured<'a> {
    secret: &'a str,
    label: Option<&'a str>,
}

/// What [`diagnose`] found. It displays as the explanation and the advice; the words may change in any release.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    cause: Cause,
    proven: bool,
    explanation: String,
    advice: String,
    signed_at: Option<u64>,
    presets: Vec<&'static str>,
    is_handshake: bool,
    tries: u32,
}

impl Diagnosis {
    fn new(cause: Cause, explanation: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            cause,
            proven: true,
            explanation: explanation.into(),
            advice: advice.into(),
            signed_at: None,
            presets: Vec::new(),
            is_handshake: false,
            tries: 0,
        }
    }

    /// One that evidence speaks for, but no signature.
    fn likely(cause: Cause, explanation: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { proven: false, ..Self::new(cause, explanation, advice) }
    }

    /// Whether the request verifies.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.cause == Cause::Verified
    }

    /// The class of the mistake.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Whether the cause is certain: because the signature holds once the mistake is undone, or because what is wrong
    /// can be seen. Otherwise it is what the evidence speaks for.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// What was found, in a sentence or two.
    #[must_use]
    pub fn explanation(&self) -> &str {
        &self.explanation
    }

    /// What to do about it; empty where the request verifies.
    #[must_use]
    pub fn advice(&self) -> &str {
        &self.advice
    }

    /// The signed timestamp in Unix seconds, where one could be read. It is authentic only where the cause is
    /// [`Verified`](Cause::Verified), [`Stale`](Cause::Stale) or [`Clock`](Cause::Clock).
    #[must_use]
    pub fn signed_at(&self) -> Option<u64> {
        self.signed_at
    }

    /// Whether the request verifies and is a handshake, which a receiver answers by itself: no event has to be in it.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use tower_webhook::testing::{diagnose, sign};
    /// use tower_webhook::{Secret, provider::slack};
    ///
    /// let secret = Secret::new("0123456789abcdef0123456789abcdef")?;
    /// let asks = r#"{"type":"url_verification","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}"#;
    /// for (body, is_handshake) in [(asks, true), (r#"{"type":"event_callback","event_id":"Ev1"}"#, false)] {
    ///     let request = sign(&slack::provider(), &secret, body).map(|body| body.into_bytes());
    ///     let found = diagnose(&slack::provider(), secret.expose(), &request, SystemTime::now());
    ///     assert_eq!((found.is_verified(), found.is_handshake()), (true, is_handshake));
    /// }
    /// # Ok::<(), tower_webhook::ConfigError>(())
    /// ```
    #[must_use]
    pub fn is_handshake(&self) -> bool {
        self.is_handshake
    }

    /// The presets whose signature header the request has, where it lacks that of the provider.
    pub fn presets(&self) -> impl Iterator<Item = &'static str> {
        self.presets.iter().copied()
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.explanation)?;
        if !self.advice.is_empty() {
            write!(f, " {}", self.advice)?;
        }
        Ok(())
    }
}

/// The class of what is wrong with a captured request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Nothing: the request verifies.
    Verified,
    /// The signature header, or another header that is signed, is missing; perhaps another provider's is there.
    WrongHeader,
    /// A header is there, but not written as the provider writes it, or there twice.
    MalformedHeader,
    /// The secret is of the wrong kind (an API key, a private key) or was not taken as the provider shows it: with
    /// white space or quotes, without its prefix, decoded in another way.
    SecretKind,
    /// The bytes of the body are not those that were signed.
    ChangedBody,
    /// The body is JSON that was parsed and written again.
    ReserialisedJson,
    /// The signature is right, and older than the tolerance.
    Stale,
    /// The signature is right, but its timestamp lies in the future, or is in another unit.
    Clock,
    /// The provider signs the endpoint's URL, and it is not the one that is configured, or none is.
    PublicUrl,
    /// The signature was made for the body, but with another timestamp than the request has.
    OtherEvent,
    /// The secret and the body are right, but other bytes are signed than this provider signs.
    OtherScheme,
    /// The request is no POST, which is all that a receiver takes beside handshakes: it answers 405.
    Method,
    /// The signature is right, and `Content-Encoding` says that the body is compressed: a receiver answers 415.
    EncodedBody,
    /// The signature is right, and the body is longer than a receiver takes unless
    /// [`WebhookLayer::with_body_limit`](crate::WebhookLayer::with_body_limit) says otherwise: it answers 413.
    BodyTooLarge,
    /// The signature is right by this secret, but a header names a key, and the secret does not have its label: a
    /// receiver chooses the secret by it.
    KeyId,
    /// None of the above: in most cases the secret is that of another endpoint, environment or account, or the body was
    /// changed in a way that cannot be undone.
    OtherSecret,
}

impl Cause {
    /// The class in snake case, as programs print it.
    ///
    /// ```
    /// assert_eq!(tower_webhook::testing::Cause::ReserialisedJson.as_str(), "reserialised_json");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::WrongHeader => "wrong_header",
            Self::MalformedHeader => "malformed_header",
            Self::SecretKind => "secret_kind",
            Self::ChangedBody => "changed_body",
            Self::ReserialisedJson => "reserialised_json",
            Self::Stale => "stale",
            Self::Clock => "clock",
            Self::PublicUrl => "public_url",
            Self::OtherEvent => "other_event",
            Self::OtherScheme => "other_scheme",
            Self::Method => "method",
            Self::EncodedBody => "encoded_body",
            Self::BodyTooLarge => "body_too_large",
            Self::KeyId => "key_id",
            Self::OtherSecret => "other_secret",
        }
    }
}
