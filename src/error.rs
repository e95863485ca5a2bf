//! What can go wrong: [`ConfigError`] while building, [`Rejection`] while receiving.

use std::fmt;
use std::time::Duration;

/// A boxed error, as tower uses it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A mistake in the configuration, found when the layer is built.
///
/// Messages name the offending setting and never hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A signing secret is empty, or nothing but a prefix such as `whsec_`. HMAC accepts an empty key, and
    /// so would every forger.
    #[error("the signing secret is empty")]
    EmptySecret,
    /// A signing secret begins or ends with white space, as a line from a file does.
    #[error("the signing secret begins or ends with white space")]
    WhitespaceInSecret,
    /// A signing secret begins with a UTF-8 byte order mark, as a file does that some editors and shells write.
    #[error("the signing secret begins with a byte order mark (U+FEFF): the file is to be read without it")]
    ByteOrderMarkInSecret,
    /// A signing secret is too short to resist guessing.
    #[error(
        "the signing secret has {length} bytes, expected at least {expected}; `Secret::weak` accepts it",
        expected = crate::signature::secret::MIN_SECRET_BYTES
    )]
    ShortSecret {
        /// Bytes given.
        length: usize,
    },
    /// A signing secret is not written as the provider writes its keys.
    #[error("the signing secret `{label}` does not decode: expected {expected}")]
    UndecodableSecret {
        /// The secret's label.
        label: String,
        /// What the scheme expects.
        expected: &'static str,
    },
    /// The scheme signs the URL that the provider has on record, and nobody said which that is.
    #[error("the scheme signs the endpoint's URL: give it to `Provider::with_public_url`")]
    NoPublicUrl,
    /// A public URL is not an absolute `http` or `https` URL without a fragment.
    #[error("`{url}` is not an absolute URL of http or https")]
    InvalidUrl {
        /// What was given.
        url: String,
    },
    /// Events would be identified by a header that is not signed: whoever captured a request could give it a new
    /// identity, and the event would run again.
    #[error(
        "the id is in `{header}`, which is not signed: identify events by digest, or accept the risk with \
         `identify_by_unsigned_header`"
    )]
    UnsignedId {
        /// The header.
        header: String,
    },
    /// A pool of fewer than two connections. An inbox leaves one for everything else.
    #[error("an inbox needs a pool of at least 2 connections, this one has {connections}")]
    PoolTooSmall {
        /// What the pool may open.
        connections: u32,
    },
    /// No secret was given, so that nothing could be verified.
    #[error("no signing secret was given")]
    NoSecrets,
    /// Two secrets carry one label, so that a rotation could not be told to be finished.
    #[error("two signing secrets are labelled `{label}`")]
    DuplicateSecretLabel {
        /// The label.
        label: String,
    },
    /// An environment variable is not set.
    #[error("environment variable `{name}` is not set")]
    MissingVariable {
        /// The variable.
        name: String,
    },
    /// An environment variable is not UTF-8.
    #[error("environment variable `{name}` is not valid UTF-8")]
    VariableNotUtf8 {
        /// The variable.
        name: String,
    },
    /// An environment variable is set to something that is no signing secret.
    #[error("environment variable `{name}`: {problem}")]
    InvalidVariable {
        /// The variable.
        name: String,
        /// What is wrong with its value.
        problem: Box<Self>,
    },
    /// A provider's or endpoint's name is empty, longer than 64 bytes, or has characters other than
    /// `a-z 0-9 - _ .`.
    #[error("`{name}` is not a name: expected 1 to 64 characters of a-z, 0-9, `-`, `_` or `.`")]
    InvalidName {
        /// What was given.
        name: String,
    },
    /// A signature header's name is not a legal header name.
    #[error("`{name}` is not a legal header name")]
    InvalidHeaderName {
        /// What was given.
        name: String,
    },
    /// The beginning of a path that tenants' names follow does not begin and end with `/`.
    #[error("`{prefix}` is not the beginning of a path: expected `/` at both ends")]
    InvalidPathPrefix {
        /// What was given.
        prefix: String,
    },
    /// The beginning of a store's keys is empty, longer than 64 bytes, or has blanks, braces or anything that is not
    /// visible ASCII.
    #[error("`{prefix}` cannot begin a key: expected 1 to 64 visible ASCII characters without braces")]
    InvalidKeyPrefix {
        /// What was given.
        prefix: String,
    },
    /// The secrets of a layer for tenants were to be replaced: it asks its [`SecretSource`](crate::SecretSource).
    #[error("the secrets of this layer come from its source: tell its `TenantCache` that they have changed")]
    SecretsOfTenants,
    /// The provider was given no signature scheme.
    #[error("provider `{provider}` has no signature scheme")]
    NoSignatureScheme {
        /// The provider.
        provider: String,
    },
    /// The signature scheme contradicts itself.
    #[error("invalid signature scheme: {problem}")]
    InvalidScheme {
        /// What is wrong.
        problem: &'static str,
    },
    /// A tolerance was set for a scheme that signs no timestamp: there is nothing that it could check.
    #[error("a timestamp tolerance was set, but the scheme signs no timestamp")]
    ToleranceWithoutTimestamp,
    /// A JSON path of the envelope is not an RFC 6901 pointer, or two settings contradict each other.
    #[error("invalid envelope: `{path}`: {problem}")]
    InvalidPath {
        /// The path.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A handshake contradicts itself, another one, or the signature scheme; or a check was given that no handshake of
    /// the provider makes.
    #[error("invalid handshake: {problem}")]
    InvalidHandshake {
        /// What is wrong.
        problem: &'static str,
    },
    /// Two durations do not fit together.
    #[error("invalid timing: {rule}, but {left:?} against {right:?}")]
    InvalidTiming {
        /// The rule that is broken.
        rule: &'static str,
        /// The left side of the rule.
        left: Duration,
        /// The right side of the rule.
        right: Duration,
    },
    /// A limit is zero.
    #[error("`{setting}` must be at least 1")]
    ZeroLimit {
        /// The setting.
        setting: &'static str,
    },
    /// A success status was chosen for an event whose effect is not durable: the sender would never send it
    /// again.
    #[error("status {status} for `{answer}` would acknowledge an event that is not done")]
    AcknowledgesUnsettled {
        /// The row of the table.
        answer: &'static str,
        /// The status asked for.
        status: u16,
    },
    /// A status that cannot end a request (1xx).
    #[error("status {status} cannot answer a request")]
    InvalidStatus {
        /// The status asked for.
        status: u16,
    },
}

/// Why a delivery was not accepted: a closed vocabulary, for logs, metrics and tests.
///
/// It goes to tracing, to metrics and into the extensions of the response as [`Rejection`], and never to
/// the sender, who could learn from it how to forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionReason {
    /// The method is not POST, nor that of a handshake which the provider makes.
    MethodNotAllowed,
    /// The body is compressed or otherwise encoded; the signature covers it as it was before.
    EncodedBody,
    /// The content type is not JSON, where that is demanded.
    ContentType,
    /// The body is longer than the limit.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body broke off.
    BodyIncomplete,
    /// More unverified requests are being read than `max_unverified_in_flight` allows.
    UnverifiedCapacity,
    /// The signature header is missing.
    MissingHeader,
    /// The signature header stands there twice.
    DuplicateHeader,
    /// The signature header does not follow the provider's grammar.
    MalformedHeader,
    /// The signed timestamp is not there, or not written in the one way that is accepted.
    MalformedTimestamp,
    /// A header says another algorithm or version than the scheme's.
    UnsupportedAlgorithm,
    /// Nobody has secrets for the tenant that the request names.
    UnknownTenant,
    /// The secrets of the request's tenant could not be looked up: the source failed, or too many requests wait for it;
    /// or those at hand may be outdated, or [await another](crate::Secrets::awaiting_another), and did not verify the
    /// request.
    SecretsUnavailable,
    /// A [`Verify`](crate::Verify) of your own panicked, and no other secret verified the request.
    VerificationPanicked,
    /// No candidate is the MAC of the body under any secret: a forgery, a changed body, or a wrong secret.
    SignatureMismatch,
    /// The signature is right, but its timestamp is older than the tolerance.
    TimestampTooOld,
    /// The signature is right, but its timestamp lies further in the future than the tolerance.
    TimestampInFuture,
    /// The signature is right, but the event was created longer ago than `with_max_event_age` allows.
    EventTooOld,
    /// An unsigned handshake is not written as it should be: a parameter stands there twice, or what is to be echoed is
    /// missing, longer than 1,024 bytes, or not printable ASCII.
    HandshakeMalformed,
    /// An unsigned handshake names another token or origin than those that are configured.
    HandshakeRefused,
    /// A hub asks about a topic for which nothing is configured.
    UnknownTopic,
    /// The event is being handled now.
    InFlight,
    /// `max_in_flight` handlers are running.
    AtCapacity,
    /// The dispatch refused the event: overloaded or timed out.
    DispatchRefused,
    /// `respond_by` passed; the handler goes on.
    RespondByPassed,
    /// The store could not be asked.
    StoreUnavailable,
    /// The store did not answer in time.
    StoreTimeout,
    /// The handler returned an error.
    HandlerFailed,
    /// The handler, or an inbox in front of it, said to come back later: another attempt has the event, or there is no
    /// room.
    HandlerBusy,
    /// The handler panicked.
    HandlerPanicked,
    /// The handler ran into `handler_timeout`.
    HandlerTimeout,
    /// The handler was told to stop at the end of a graceful shutdown.
    ShuttingDown,
    /// The handler said that no retry can help, and the event was not dead-lettered.
    Permanent,
    /// Authentic, but not readable, and not dead-lettered.
    Unreadable,
    /// The inner service answered something else than success, or failed without an answer.
    InnerRefused,
}

impl RejectionReason {
    /// The reason in snake case, as it appears in logs and metrics.
    ///
    /// ```
    /// use tower_webhook::RejectionReason;
    ///
    /// assert_eq!(RejectionReason::SignatureMismatch.as_str(), "signature_mismatch");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MethodNotAllowed => "method_not_allowed",
            Self::EncodedBody => "encoded_body",
            Self::ContentType => "content_type",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyIncomplete => "body_incomplete",
            Self::UnverifiedCapacity => "unverified_capacity",
            Self::MissingHeader => "missing_header",
            Self::DuplicateHeader => "duplicate_header",
            Self::MalformedHeader => "malformed_header",
            Self::MalformedTimestamp => "malformed_timestamp",
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::UnknownTenant => "unknown_tenant",
            Self::SecretsUnavailable => "secrets_unavailable",
            Self::VerificationPanicked => "verification_panicked",
            Self::SignatureMismatch => "signature_mismatch",
            Self::TimestampTooOld => "timestamp_too_old",
            Self::TimestampInFuture => "timestamp_in_future",
            Self::EventTooOld => "event_too_old",
            Self::HandshakeMalformed => "handshake_malformed",
            Self::HandshakeRefused => "handshake_refused",
            Self::UnknownTopic => "unknown_topic",
            Self::InFlight => "in_flight",
            Self::AtCapacity => "at_capacity",
            Self::DispatchRefused => "dispatch_refused",
            Self::RespondByPassed => "respond_by_passed",
            Self::StoreUnavailable => "store_unavailable",
            Self::StoreTimeout => "store_timeout",
            Self::HandlerFailed => "handler_failed",
            Self::HandlerBusy => "handler_busy",
            Self::HandlerPanicked => "handler_panicked",
            Self::HandlerTimeout => "handler_timeout",
            Self::ShuttingDown => "shutting_down",
            Self::Permanent => "permanent",
            Self::Unreadable => "unreadable",
            Self::InnerRefused => "inner_refused",
        }
    }

    /// Whether the sender proved that it holds a secret before this reason arose.
    #[must_use]
    pub fn is_authentic(self) -> bool {
        !matches!(
            self,
            Self::MethodNotAllowed
                | Self::EncodedBody
                | Self::ContentType
                | Self::BodyTooLarge
                | Self::BodyTimeout
                | Self::BodyIncomplete
                | Self::UnverifiedCapacity
                | Self::MissingHeader
                | Self::DuplicateHeader
                | Self::MalformedHeader
                | Self::MalformedTimestamp
                | Self::UnsupportedAlgorithm
                | Self::UnknownTenant
                | Self::SecretsUnavailable
                | Self::VerificationPanicked
                | Self::SignatureMismatch
                | Self::HandshakeMalformed
                | Self::HandshakeRefused
                | Self::UnknownTopic
        )
    }

    /// What a verification may say: not another's reason.
    pub(crate) fn of_verification(self) -> Self {
        match self {
            Self::MissingHeader
            | Self::DuplicateHeader
            | Self::MalformedHeader
            | Self::MalformedTimestamp
            | Self::UnsupportedAlgorithm
            | Self::TimestampTooOld
            | Self::TimestampInFuture => self,
            _ => Self::SignatureMismatch,
        }
    }

    /// What to look at first, for the log.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::MethodNotAllowed => "webhooks are POSTed; is a health check routed through the layer?",
            Self::EncodedBody => "the body must arrive as it was signed; does a proxy compress it?",
            Self::ContentType => "JSON is demanded by `require_json_content_type`",
            Self::BodyTooLarge => "raise `with_body_limit` if the provider sends bodies this large",
            Self::BodyTimeout | Self::BodyIncomplete => "the sender or a proxy stopped in the middle",
            Self::UnverifiedCapacity => {
                "many unsigned bodies are arriving slowly; see `with_max_unverified_in_flight`"
            }
            Self::MissingHeader => "not sent by the provider, or a proxy strips the header",
            Self::DuplicateHeader => "a proxy may have appended a second line",
            Self::MalformedHeader | Self::MalformedTimestamp | Self::UnsupportedAlgorithm => {
                "is this the right provider preset?"
            }
            Self::UnknownTenant => {
                "no secrets for this tenant: does the path or header name one that exists?"
            }
            Self::SecretsUnavailable => {
                "the source of the tenants' secrets failed or took too long, or a new secret is being awaited"
            }
            Self::VerificationPanicked => "your `Verify` panicked: anybody could have sent what it fell over",
            Self::SignatureMismatch => {
                "a wrong secret is the commonest cause; next a proxy or middleware that changes the body"
            }
            Self::TimestampTooOld | Self::TimestampInFuture => {
                "authentic, but outside the tolerance: compare this machine's clock with the sender's"
            }
            Self::HandshakeMalformed => "a parameter is missing, stands there twice, or cannot be echoed",
            Self::HandshakeRefused => {
                "another verify token or origin than is configured; see `Provider::with_verify_token`"
            }
            Self::UnknownTopic => "nobody asked for this topic; see `Provider::with_hub_topics`",
            Self::EventTooOld => "authentic, but older than `with_max_event_age`: a replay, or a late resend",
            _ => "",
        }
    }
}

impl fmt::Display for RejectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why the answer is not a success. Inserted into the extensions of the response for the layers around.
///
/// Opaque, so that later reasons can carry more without a breaking change.
///
/// ```
/// use tower_webhook::{Rejection, RejectionReason};
///
/// fn was_forged(response: &http::Response<()>) -> bool {
///     response
///         .extensions()
///         .get::<Rejection>()
///         .is_some_and(|rejection| rejection.reason() == RejectionReason::SignatureMismatch)
/// }
/// assert!(!was_forged(&http::Response::new(())));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    reason: RejectionReason,
}

impl Rejection {
    pub(crate) fn new(reason: RejectionReason) -> Self {
        Self { reason }
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> RejectionReason {
        self.reason
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "delivery not accepted: {}", self.reason)
    }
}

impl std::error::Error for Rejection {}
