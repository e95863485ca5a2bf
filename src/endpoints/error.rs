//! What can go wrong with an endpoint API, and what to do about it.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::error::BoxError;
use crate::signature::Secret;

/// Why a call to an endpoint API, or something built on it, did not work.
///
/// Its text says what to do. It holds neither a key nor a signing secret; what the provider wrote about a refusal is
/// in it, shortened, and without any of the two.
///
/// ```
/// use tower_webhook::Secret;
/// use tower_webhook::endpoints::{CasaPay, ClientOptions, EndpointErrorKind};
///
/// # fn main() -> Result<(), tower_webhook::BoxError> {
/// let key = Secret::new("sk_test_0123456789abcdef")?;
/// let error = CasaPay::new("http://api.example.com", key, ClientOptions::default()).unwrap_err();
/// assert_eq!(error.kind(), EndpointErrorKind::InvalidUrl);
/// assert_eq!(error.to_string(), "casapay: `http://api.example.com` is no https URL; nothing was sent");
/// # Ok(())
/// # }
/// ```
pub struct EndpointError {
    inner: Box<Inner>,
}

struct Inner {
    kind: EndpointErrorKind,
    provider: String,
    operation: Option<&'static str>,
    /// What is wrong, where the kind does not say it all.
    detail: Option<String>,
    /// What to do, where it is not what the kind says.
    advice: Option<&'static str>,
    status: Option<StatusCode>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    second: Option<u64>,
    endpoint_ids: Vec<String>,
    secret: Option<Secret>,
    source: Option<BoxError>,
}

/// What kind of failure an [`EndpointError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndpointErrorKind {
    /// A URL that may not be sent, or sent to: not https, with credentials, or with a fragment. Nothing was sent.
    InvalidUrl,
    /// Something else that the API would not take, or that was not configured. Nothing was sent.
    InvalidRequest,
    /// 400: the API did not take the request.
    BadRequest,
    /// 401: the API key is not accepted.
    Unauthorized,
    /// 403: the API key may not do this.
    Forbidden,
    /// 404: there is no such endpoint or event.
    NotFound,
    /// 409: it contradicts another endpoint. Or a creation was answered with one that was there before.
    Conflict,
    /// 429, after the attempts that were allowed.
    RateLimited,
    /// 3xx: redirects are not followed, since the API key would go along.
    Redirected,
    /// 5xx, after the attempts that were allowed.
    Server,
    /// Any other status.
    UnexpectedStatus,
    /// No connection could be made. Nothing was sent.
    Unreachable,
    /// No TLS with what answered there: its certificate is of an authority that is not trusted, for another host or not
    /// valid at this time, or it speaks no TLS. Nothing was sent, and no other attempt made. The error's text says what
    /// it was.
    Tls,
    /// No complete answer came in time.
    Timeout,
    /// The connection ended before the answer did.
    Broken,
    /// The answer is not what the API documents.
    Malformed,
    /// The answer is longer than 16 MiB.
    TooLarge,
    /// The list is not complete, and no way to get the rest of it is documented; or it went on changing, or lacks an
    /// endpoint that exists.
    IncompleteList,
    /// It is not known whether an endpoint was created. If it was, nobody knows its secret.
    OutcomeUnknown,
    /// An endpoint was created, and the answer holds no secret that can be used.
    SecretMissing,
    /// An endpoint exists, and its secret is not in the sink.
    SecretUnknown,
    /// An endpoint was created, and the sink failed to take its secret, which is
    /// [in the error](EndpointError::take_secret).
    SecretNotStored,
    /// Several endpoints have one URL, and it is no rotation: every event would be delivered to each.
    DuplicateEndpoints,
    /// The secret sink failed.
    Sink,
    /// The lock was not obtained, or was held for too long.
    Lock,
    /// More events of one second than fit into one answer, so that the rest of them cannot be asked for.
    TooManyEvents,
    /// A task of ours panicked, in a sink or a lock of yours.
    Panicked,
}

impl EndpointErrorKind {
    /// What to do about it.
    fn advice(self) -> &'static str {
        match self {
            Self::InvalidUrl | Self::InvalidRequest => "nothing was sent",
            Self::BadRequest => "the API did not take the request",
            Self::Unauthorized => "the API key is not accepted: check which one it is, and for which mode",
            Self::Forbidden => "the API key may not do this",
            Self::NotFound => "there is none with this id: list them",
            Self::Conflict => "it contradicts another endpoint: list them",
            Self::RateLimited => "the API asks to call less often",
            Self::Redirected => "redirects are not followed: is this the base URL of the API?",
            Self::Server => "the API failed",
            Self::UnexpectedStatus => "an answer that the API does not document",
            Self::Unreachable => "no connection to the API; nothing was sent",
            Self::Tls => {
                "there is no TLS with it, and nothing was sent: check the host, its certificate and this machine's clock. \
                 An authority of your own is to be trusted by the system, or named (`with_root_certificates`)"
            }
            Self::Timeout => "no complete answer in time",
            Self::Broken => "the connection ended before the answer did",
            Self::Malformed => "the answer is not what the API documents",
            Self::TooLarge => "the answer is too long",
            Self::IncompleteList => "the list is not complete",
            Self::OutcomeUnknown => {
                "an endpoint may have been created, whose secret nobody knows: list the endpoints of this URL, delete \
                 the new one, and create it anew"
            }
            Self::SecretMissing => {
                "the endpoint was created, but the answer has no secret that can be used: delete the endpoint and \
                 create it anew"
            }
            Self::SecretUnknown => {
                "the endpoint exists, but its secret is not in the sink, and is shown only once: put the secret there \
                 if you have it, else replace it (`replace_lost_secret`), or delete the endpoint and run this again"
            }
            Self::SecretNotStored => {
                "the endpoint was created, but the sink did not take its secret: store the secret that this error \
                 holds, or delete the endpoint and run this again"
            }
            Self::DuplicateEndpoints => {
                "several endpoints have this URL, and each delivers every event: delete all but one, whose secret is \
                 in the sink"
            }
            Self::Sink => "the secret sink failed",
            Self::Lock => "another instance may be at work: try again",
            Self::TooManyEvents => "one second has more events than one answer: ask for one type at a time",
            Self::Panicked => "a secret sink or a lock panicked",
        }
    }
}

impl EndpointError {
    pub(super) fn new(kind: EndpointErrorKind, provider: &str) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                provider: provider.to_owned(),
                operation: None,
                detail: None,
                advice: None,
                status: None,
                request_id: None,
                retry_after: None,
                second: None,
                endpoint_ids: Vec::new(),
                secret: None,
                source: None,
            }),
        }
    }

    /// For an [`EndpointApi`](super::EndpointApi) of your own: a failure of this kind, with what caused it.
    #[must_use]
    pub fn other(kind: EndpointErrorKind, provider: &str, source: impl Into<BoxError>) -> Self {
        Self::new(kind, provider).with_source(source)
    }

    pub(super) fn during(mut self, operation: &'static str) -> Self {
        self.inner.operation = Some(operation);
        self
    }

    pub(super) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.inner.detail = Some(detail.into());
        self
    }

    pub(super) fn with_advice(mut self, advice: &'static str) -> Self {
        self.inner.advice = Some(advice);
        self
    }

    pub(super) fn with_answer(mut self, status: StatusCode, request_id: Option<String>) -> Self {
        self.inner.status = Some(status);
        self.inner.request_id = request_id;
        self
    }

    pub(super) fn with_retry_after(mut self, pause: Option<Duration>) -> Self {
        self.inner.retry_after = pause;
        self
    }

    pub(super) fn with_second(mut self, second: u64) -> Self {
        self.inner.second = Some(second);
        self.with_detail(format!("at Unix time {second}"))
    }

    pub(super) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    pub(super) fn with_endpoints(mut self, ids: impl IntoIterator<Item = String>) -> Self {
        // They are the provider's text.
        let plain = |id: String| id.chars().filter(|c| !c.is_control()).take(255).collect::<String>();
        self.inner.endpoint_ids.extend(ids.into_iter().map(plain));
        self
    }

    pub(super) fn with_secret(mut self, secret: Secret) -> Self {
        self.inner.secret = Some(secret);
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> EndpointErrorKind {
        self.inner.kind
    }

    /// The status that the API answered with, where it did.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.inner.status
    }

    /// What the API calls the request (`request-id` or `x-request-id` of the answer), for its support.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.inner.request_id.as_deref()
    }

    /// When the API wants to be asked again (`Retry-After`), counted from its answer.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// The second, in Unix time, that has more events than fit into one answer
    /// ([`TooManyEvents`](EndpointErrorKind::TooManyEvents)).
    #[must_use]
    pub fn second(&self) -> Option<u64> {
        self.inner.second
    }

    /// The endpoints that it is about: those that are one too many, the one whose secret is unknown.
    #[must_use]
    pub fn endpoint_ids(&self) -> &[String] {
        &self.inner.endpoint_ids
    }

    /// Takes out the secret that the sink failed to store ([`SecretNotStored`](EndpointErrorKind::SecretNotStored)), or
    /// that came without an id ([`OutcomeUnknown`](EndpointErrorKind::OutcomeUnknown)), or with that of an endpoint that
    /// was there before ([`Conflict`](EndpointErrorKind::Conflict)). It is shown only once: this is the last place that
    /// has it.
    pub fn take_secret(&mut self) -> Option<Secret> {
        self.inner.secret.take()
    }

    /// Whether a call that was to create an endpoint may have done so: an answer was lost, or the API failed.
    #[must_use]
    pub fn may_have_created(&self) -> bool {
        matches!(self.inner.kind, EndpointErrorKind::OutcomeUnknown | EndpointErrorKind::SecretMissing)
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, provider, operation, detail, advice, status, request_id, endpoint_ids, .. } =
            &*self.inner;
        write!(f, "{provider}: ")?;
        if let Some(operation) = operation {
            write!(f, "{operation}: ")?;
        }
        if let Some(status) = status {
            write!(f, "{}: ", status.as_u16())?;
        }
        if let Some(detail) = detail {
            write!(f, "{detail}; ")?;
        }
        if *kind == EndpointErrorKind::OutcomeUnknown && self.inner.secret.is_some() {
            f.write_str("the answer had a secret but no id, and this error holds it; ")?;
        }
        f.write_str(advice.unwrap_or_else(|| kind.advice()))?;
        if !endpoint_ids.is_empty() {
            write!(f, " (endpoints: {})", endpoint_ids.join(", "))?;
        }
        if let Some(request_id) = request_id {
            write!(f, " (request {request_id})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            kind, provider, operation, detail, status, request_id, retry_after, endpoint_ids, ..
        } = &*self.inner;
        f.debug_struct("EndpointError")
            .field("kind", kind)
            .field("provider", provider)
            .field("operation", operation)
            .field("detail", detail)
            .field("status", status)
            .field("request_id", request_id)
            .field("retry_after", retry_after)
            .field("endpoint_ids", endpoint_ids)
            .field("source", &self.inner.source)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for EndpointError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}
