//! Providers as data: the signature scheme, the envelope, and how the sender behaves.
//!
//! A preset is a function that returns a [`Provider`]; nothing in the pipeline knows its name. Your own takes
//! a few lines of [`Provider::builder`]: [`docs::providers`](crate::docs::providers) writes and tests one.

pub mod adyen;
pub mod bitbucket_server;
pub mod boxcom;
pub mod calendly;
pub mod casapay;
pub mod cashfree;
pub mod caspay;
mod catalogue;
pub mod coinbase_commerce;
pub mod convoy;
mod description;
pub mod diddo;
#[cfg(feature = "ed25519")]
#[cfg_attr(docsrs, doc(cfg(feature = "ed25519")))]
pub mod discord;
pub mod docusign;
pub mod dropbox;
pub mod elevenlabs;
pub mod finch;
pub mod getstream;
pub mod gitea;
pub mod github;
pub mod gitlab;
pub mod gocardless;
pub mod gogs;
pub mod hubspot;
pub mod intercom;
pub mod lemon_squeezy;
pub mod line;
pub mod linear;
pub mod mailersend;
pub mod mailomat;
pub mod meta;
pub mod modern_treasury;
pub mod mollie;
pub mod mux;
pub mod notion;
pub mod onfido;
pub mod outpost;
pub mod paddle;
pub mod pagerduty;
mod payload;
pub mod paystack;
pub mod plivo;
pub mod polar;
pub mod pusher;
pub mod razorpay;
pub mod recurly;
pub mod revolut;
pub mod sanity;
pub mod shopify;
pub mod sinch;
pub mod sinch_numbers;
pub mod slack;
pub mod square;
pub mod standard_webhooks;
pub mod stripe;
pub mod svix;
pub mod telegram;
#[cfg(feature = "ed25519")]
#[cfg_attr(docsrs, doc(cfg(feature = "ed25519")))]
pub mod telnyx;
pub mod trello;
pub mod twitch;
pub mod typeform;
pub mod vercel;
pub mod webflow;
pub mod websub;
pub mod woocommerce;
pub mod workos;
pub mod x;
pub mod xero;
pub mod zendesk;
pub mod zoom;

pub use self::catalogue::{Preset, catalogue, find};
pub use self::description::Description;
pub use self::payload::Fields;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::envelope::{Envelope, ResolvedEnvelope};
use crate::error::ConfigError;
use crate::handshake::{Handshake, Handshakes};
use crate::signature::{Authenticator, PublicUrl, Secret, Secrets, SignatureScheme, Verifier, Verify};

const MAX_NAME_BYTES: usize = 64;

/// Horizons of retries are written with these.
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Who sends: how it signs, where its events keep their id, and how long it waits and retries.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::{Envelope, Provider, Retries, SignatureScheme};
///
/// let acme = Provider::builder("acme")
///     .signature(SignatureScheme::hmac_sha256("x-acme-signature").with_prefix("sha256="))
///     .envelope(Envelope::json("/id").with_payload("/data"))
///     .answer_deadline(Duration::from_secs(10))
///     .retries(Retries::Documented { horizon: Duration::from_secs(3 * 86_400), resigned: true })
///     .build()?;
///
/// assert_eq!(acme.name(), "acme");
/// assert_eq!(acme.answer_deadline(), Some(Duration::from_secs(10)));
/// # Ok::<(), tower_webhook::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Provider {
    name: String,
    authenticator: Authenticator,
    envelope: ResolvedEnvelope,
    handshakes: Handshakes,
    answer_deadline: Option<Duration>,
    retries: Retries,
    event_types: Vec<String>,
    body_limit: Option<usize>,
    api_version: Option<String>,
    documentation: Option<String>,
}

/// What is known of a sender's redeliveries. It decides for how long done events are remembered, and what happens
/// while the store is down.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::{Provider, Retries, SignatureScheme, Timing};
///
/// let month = Duration::from_secs(30 * 86_400);
/// let patient = Provider::builder("patient")
///     .signature(SignatureScheme::hmac_sha256("x-signature"))
///     .retries(Retries::Documented { horizon: month, resigned: true })
///     .build()?;
/// assert_eq!(Timing::for_provider(&patient).retention(), month + Duration::from_secs(86_400));
/// # Ok::<(), tower_webhook::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retries {
    /// The sender documents for how long it retries.
    Documented {
        /// From the first attempt to the last.
        horizon: Duration,
        /// Whether each attempt is signed anew. Where it is not, later attempts are refused unless the tolerance
        /// is as wide as the horizon; it is not widened by itself.
        resigned: bool,
    },
    /// The sender retries, or may; for how long is not documented.
    Undocumented,
    /// The sender never delivers a second time by itself: an event that is not accepted is lost.
    Never,
}

impl Provider {
    /// Describes a provider called `name`: 1 to 64 characters of `a-z`, `0-9`, `-`, `_` and `.`.
    ///
    /// The name is part of every event's identity. Renaming a provider makes its events new ones.
    pub fn builder(name: impl Into<String>) -> ProviderBuilder {
        ProviderBuilder {
            name: name.into(),
            scheme: None,
            envelope: Envelope::json("/id"),
            handshakes: Vec::new(),
            answer_deadline: None,
            retries: Retries::Undocumented,
            event_types: Vec::new(),
            body_limit: None,
            api_version: None,
            documentation: None,
        }
    }

    /// The provider's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
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

    /// The event types that the provider documents, with families as `prefix.*`; empty where none are listed.
    pub fn event_types(&self) -> impl Iterator<Item = &str> {
        self.event_types.iter().map(String::as_str)
    }

    /// The page on which the provider documents its signature, where one is [given](ProviderBuilder::documentation).
    #[must_use]
    pub fn documentation(&self) -> Option<&str> {
        self.documentation.as_deref()
    }

    /// Whether the signature covers a timestamp. Where it does not, the retention of done marks is the only
    /// protection against replay.
    #[must_use]
    pub fn signs_timestamp(&self) -> bool {
        self.authenticator.tolerance().is_some()
    }

    /// How far a signed timestamp may be off; `None` where none is signed.
    #[must_use]
    pub fn tolerance(&self) -> Option<Duration> {
        self.authenticator.tolerance()
    }

    /// Changes how far a signed timestamp may be off, both ways: wider for a sender that resends with the
    /// original timestamp, narrower where clocks are good.
    ///
    /// # Errors
    ///
    /// [`ConfigError::ToleranceWithoutTimestamp`] where the scheme signs no timestamp.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_webhook::{ConfigError, casapay, caspay};
    ///
    /// let casapay = casapay::provider().with_tolerance(Duration::from_secs(60))?;
    /// assert_eq!(casapay.tolerance(), Some(Duration::from_secs(60)));
    /// let error = caspay::provider().with_tolerance(Duration::from_secs(60)).unwrap_err();
    /// assert_eq!(error, ConfigError::ToleranceWithoutTimestamp);
    /// # Ok::<(), ConfigError>(())
    /// ```
    pub fn with_tolerance(mut self, tolerance: Duration) -> Result<Self, ConfigError> {
        self.authenticator.set_tolerance(tolerance)?;
        Ok(self)
    }

    /// The header that carries the signature.
    #[must_use]
    pub fn signature_header(&self) -> &http::HeaderName {
        self.authenticator.header()
    }

    /// The endpoint's URL as the provider has it on record, letter for letter, for a scheme that signs it. It is never
    /// taken from a request: routers strip prefixes, and proxies rewrite hosts.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidUrl`] where it is no absolute URL of `http` or `https`.
    ///
    /// ```
    /// use tower_webhook::{ConfigError, Part, Provider, Secret, SignatureScheme, testing};
    ///
    /// let acme = || {
    ///     Provider::builder("acme")
    ///         .signature(SignatureScheme::hmac_sha256("x-acme-signature").with_signed([Part::Url, Part::Body]))
    ///         .build()
    /// };
    /// let secret = || Secret::new("a-signing-secret");
    /// assert_eq!(acme()?.verifier(secret()?).unwrap_err(), ConfigError::NoPublicUrl);
    /// assert!(acme()?.with_public_url("https://shop.example/hooks?tenant=7")?.verifier(secret()?).is_ok());
    /// # Ok::<(), ConfigError>(())
    /// ```
    pub fn with_public_url(mut self, url: &str) -> Result<Self, ConfigError> {
        self.authenticator.set_url(PublicUrl::new(url)?);
        Ok(self)
    }

    /// Takes the id that the sender puts into a header without signing it for the event's identity, instead of the
    /// digest of what is signed. **The risk:** whoever captured one request can send it again under another id, as
    /// often as they like, and the event runs each time; under an id that is yet to come, it takes the place of the event that
    /// will have it, which is then taken for a duplicate.
    ///
    /// It is for senders whose retries are not the same bytes, where a digest would recognise none of them. A request
    /// without the header is still identified by its digest.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidPath`] where the envelope has no id in an unsigned header.
    pub fn identify_by_unsigned_header(mut self) -> Result<Self, ConfigError> {
        self.envelope.trust_unsigned_id()?;
        Ok(self)
    }

    /// The token that you give to the provider together with the endpoint's address, and that its
    /// [`hub_verify_token`](Handshake::hub_verify_token) handshake has to bring. Without one every such handshake is
    /// refused.
    ///
    /// It comes in the URL, which logs of proxies keep: let it be no other secret. Its digest is kept, not its text.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidHandshake`] where the provider makes no such handshake.
    ///
    /// ```
    /// use tower::ServiceExt as _;
    /// use tower_webhook::{EventRouter, Handshake, Provider, Secret, SignatureScheme, WebhookLayer};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower_webhook::BoxError> {
    /// let acme = Provider::builder("acme")
    ///     .signature(SignatureScheme::hmac_sha256("x-acme-signature"))
    ///     .handshake(Handshake::hub_verify_token())
    ///     .build()?
    ///     .with_verify_token(Secret::new("a-verify-token-of-mine")?)?;
    /// let receiver = WebhookLayer::new(acme, Secret::new("a-signing-secret")?)?
    ///     .with_dispatch(EventRouter::new())
    ///     .into_service();
    ///
    /// let ask = |token| {
    ///     let uri = format!("/?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}");
    ///     receiver.clone().oneshot(http::Request::get(uri).body(String::new()).unwrap())
    /// };
    /// assert_eq!(ask("a-verify-token-of-mine").await?.status(), 200);
    /// assert_eq!(ask("a-guess").await?.status(), 403);
    /// # Ok(())
    /// # }
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "a secret is given away, and wiped")]
    pub fn with_verify_token(mut self, token: Secret) -> Result<Self, ConfigError> {
        self.handshakes.token_check()?.set_verify_token(&token);
        Ok(self)
    }

    /// The topics that you subscribe to, letter for letter: a [`hub_topics`](Handshake::hub_topics) handshake confirms
    /// these and no others. Replaces those that were given before. Default: none.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidHandshake`] where the provider makes no such handshake.
    ///
    /// ```
    /// use tower::ServiceExt as _;
    /// use tower_webhook::{EventRouter, Handshake, Provider, Secret, SignatureScheme, WebhookLayer};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower_webhook::BoxError> {
    /// let acme = Provider::builder("acme")
    ///     .signature(SignatureScheme::hmac_sha256("x-hub-signature").with_prefix("sha256="))
    ///     .handshake(Handshake::hub_topics())
    ///     .build()?
    ///     .with_hub_topics(["https://blog.example/feed"])?;
    /// let receiver = WebhookLayer::new(acme, Secret::new("a-signing-secret")?)?
    ///     .with_dispatch(EventRouter::new())
    ///     .into_service();
    ///
    /// let ask = |mode, topic| {
    ///     let uri = format!("/?hub.mode={mode}&hub.topic={topic}&hub.challenge=kq1p&hub.lease_seconds=864000");
    ///     receiver.clone().oneshot(http::Request::get(uri).body(String::new()).unwrap())
    /// };
    /// assert_eq!(ask("subscribe", "https://blog.example/feed").await?.status(), 200);
    /// assert_eq!(ask("subscribe", "https://spam.example/feed").await?.status(), 404);
    /// // Anybody can ask a hub to end a subscription. It asks back, and this is the answer.
    /// assert_eq!(ask("unsubscribe", "https://blog.example/feed").await?.status(), 404);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_hub_topics<T: Into<String>>(
        mut self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<Self, ConfigError> {
        self.handshakes.topic_check()?.set_topics(topics.into_iter().map(Into::into).collect());
        Ok(self)
    }

    /// The topics whose subscription you want to end: `unsubscribe` is confirmed for these and no others. Replaces those
    /// that were given before. Default: none.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidHandshake`] where the provider makes no [`hub_topics`](Handshake::hub_topics) handshake.
    pub fn with_hub_topics_to_leave<T: Into<String>>(
        mut self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<Self, ConfigError> {
        self.handshakes.topic_check()?.set_topics_to_leave(topics.into_iter().map(Into::into).collect());
        Ok(self)
    }

    /// Whether the signature covers an event's type. Where it does not, a captured request can be sent as another type.
    #[must_use]
    pub fn signs_event_type(&self) -> bool {
        self.envelope.type_is_signed()
    }

    /// Verifies this provider's signatures without a layer.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UndecodableSecret`], [`ConfigError::ShortSecret`] or [`ConfigError::EmptySecret`] for a secret
    /// that is no key of this provider; [`ConfigError::NoPublicUrl`] where the scheme signs the URL and none was given.
    pub fn verifier(&self, secrets: impl Into<Secrets>) -> Result<Verifier, ConfigError> {
        Verifier::new(self.authenticator.clone(), secrets.into())
    }

    pub(crate) fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    pub(crate) fn envelope(&self) -> &ResolvedEnvelope {
        &self.envelope
    }

    pub(crate) fn handshakes(&self) -> &Handshakes {
        &self.handshakes
    }

    pub(crate) fn body_limit(&self) -> Option<usize> {
        self.body_limit
    }

    pub(crate) fn api_version(&self) -> Option<&str> {
        self.api_version.as_deref()
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("name", &self.name)
            .field("signature_header", self.authenticator.header())
            .field("tolerance", &self.authenticator.tolerance())
            .field("answer_deadline", &self.answer_deadline)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}

/// Describes a [`Provider`]; checked by [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use]
pub struct ProviderBuilder {
    name: String,
    scheme: Option<Scheme>,
    envelope: Envelope,
    handshakes: Vec<Handshake>,
    answer_deadline: Option<Duration>,
    retries: Retries,
    event_types: Vec<String>,
    body_limit: Option<usize>,
    api_version: Option<String>,
    documentation: Option<String>,
}

#[derive(Clone, Debug)]
enum Scheme {
    Data(Box<SignatureScheme>),
    Code(Arc<dyn Verify>),
}

impl ProviderBuilder {
    /// How the provider signs. Required, unless code [verifies](Self::verify_with).
    pub fn signature(mut self, scheme: SignatureScheme) -> Self {
        self.scheme = Some(Scheme::Data(Box::new(scheme)));
        self
    }

    /// Verifies by code of yours, where no [`SignatureScheme`] can describe it: see [`Verify`].
    pub fn verify_with(mut self, verify: impl Verify) -> Self {
        self.scheme = Some(Scheme::Code(Arc::new(verify)));
        self
    }

    /// Where events keep their id, type and payload. The default is `/id`, `/type`, and the whole body as
    /// payload, the commonest form.
    pub fn envelope(mut self, envelope: Envelope) -> Self {
        self.envelope = envelope;
        self
    }

    /// What the provider asks for before it delivers, beside what was said before. Default: nothing, and every
    /// request that is no POST is answered 405.
    pub fn handshake(mut self, handshake: Handshake) -> Self {
        self.handshakes.push(handshake);
        self
    }

    /// How long the sender waits for an answer. The layer answers a little earlier: see
    /// [`Timing`](crate::Timing).
    pub fn answer_deadline(mut self, deadline: Duration) -> Self {
        self.answer_deadline = Some(deadline);
        self
    }

    /// What is known of its redeliveries. The default is [`Retries::Undocumented`].
    pub fn retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
    }

    /// The documented event types, with families as `prefix.*`. A handler for a type that is not among them is
    /// warned about at start-up; without a list nothing is.
    pub fn event_types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.event_types = types.into_iter().map(Into::into).collect();
        self
    }

    /// The longest body that the provider sends, in bytes, where the default of 1 MiB does not fit.
    /// [`WebhookLayer::with_body_limit`](crate::WebhookLayer::with_body_limit) has the last word.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = Some(bytes);
        self
    }

    /// The schema version that the typed events beside this preset were written for. An event with another one
    /// is handled all the same, and counted.
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = Some(version.into());
        self
    }

    /// The address of the page on which the provider documents its signature, for whoever compares the two. Nothing is
    /// fetched from it, and any text is taken. Default: none.
    ///
    /// ```
    /// use tower_webhook::{Provider, SignatureScheme};
    ///
    /// let acme = Provider::builder("acme")
    ///     .signature(SignatureScheme::hmac_sha256("x-acme-signature"))
    ///     .documentation("https://acme.example/docs/webhooks")
    ///     .build()?;
    /// assert_eq!(acme.documentation(), Some("https://acme.example/docs/webhooks"));
    /// # Ok::<(), tower_webhook::ConfigError>(())
    /// ```
    pub fn documentation(mut self, url: impl Into<String>) -> Self {
        self.documentation = Some(url.into());
        self
    }

    /// Checks the description.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] that names the setting which is missing, malformed, or contradicts another.
    ///
    /// ```
    /// use tower_webhook::{ConfigError, Provider, SignatureScheme};
    ///
    /// let error = Provider::builder("Acme Inc").build().unwrap_err();
    /// assert_eq!(error, ConfigError::InvalidName { name: "Acme Inc".to_owned() });
    /// let error = Provider::builder("acme").build().unwrap_err();
    /// assert_eq!(error, ConfigError::NoSignatureScheme { provider: "acme".to_owned() });
    /// ```
    pub fn build(self) -> Result<Provider, ConfigError> {
        check_name(&self.name)?;
        let Some(scheme) = self.scheme else {
            return Err(ConfigError::NoSignatureScheme { provider: self.name });
        };
        if self.body_limit == Some(0) {
            return Err(ConfigError::ZeroLimit { setting: "body_limit" });
        }
        let authenticator = match scheme {
            Scheme::Data(scheme) => Authenticator::Data(Box::new(scheme.resolve()?)),
            Scheme::Code(verify) => Authenticator::code(verify),
        };
        let envelope = self.envelope.resolve(&authenticator)?;
        if self.api_version.is_some() && !envelope.has_api_version() {
            return Err(ConfigError::InvalidPath {
                path: "api_version".to_owned(),
                problem: "a version is expected, and the envelope does not say where it is",
            });
        }
        let handshakes = Handshakes::resolve(self.handshakes, &authenticator)?;
        Ok(Provider {
            name: self.name,
            authenticator,
            envelope,
            handshakes,
            answer_deadline: self.answer_deadline,
            retries: self.retries,
            event_types: self.event_types,
            body_limit: self.body_limit,
            api_version: self.api_version,
            documentation: self.documentation,
        })
    }
}

/// Names go into the scope of deduplication, joined by `/`, and into metrics as labels.
pub(crate) fn check_name(name: &str) -> Result<(), ConfigError> {
    let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(legal) {
        return Err(ConfigError::InvalidName { name: name.to_owned() });
    }
    Ok(())
}

/// Unwraps a preset: its data are constants, and a test builds every one.
fn preset(builder: ProviderBuilder) -> Provider {
    builder.build().unwrap_or_else(|error| unreachable!("a preset is valid: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for name in ["a", "acme-2.eu_west", &"a".repeat(64)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "Acme", "a b", "a/b", "é", "a\n", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_limit_of_nothing_is_refused() {
        let builder = Provider::builder("a").signature(SignatureScheme::hmac_sha256("s")).body_limit(0);
        assert_eq!(builder.build().unwrap_err(), ConfigError::ZeroLimit { setting: "body_limit" });
    }
}
