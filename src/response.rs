//! Step 6: the one table of status codes, and the bodies of our answers.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use crate::error::{ConfigError, Rejection, RejectionReason};

/// How long a sender is asked to wait where nothing better is known.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// Beyond that a sender that honours it would lose the attempt in which it would have been told 200.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

/// How a delivery was accepted. Inserted into the extensions of the response for the layers around.
///
/// ```
/// use tower_webhook::Accepted;
///
/// fn was_duplicate<B>(response: &http::Response<B>) -> bool {
///     response.extensions().get::<Accepted>() == Some(&Accepted::Duplicate)
/// }
/// let mut response = http::Response::new(());
/// assert!(!was_duplicate(&response));
/// response.extensions_mut().insert(Accepted::Duplicate);
/// assert!(was_duplicate(&response));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Accepted {
    /// A handler did its work.
    Handled,
    /// The event was done before.
    Duplicate,
    /// Nobody takes events of this type.
    Unhandled,
    /// A test event, which `require_live_mode` keeps from the handlers.
    TestEvent,
    /// The dead-letter hook has it.
    DeadLettered,
    /// A handshake that the provider makes before it delivers. Nothing was stored or handled; the answer is as the
    /// provider's protocol has it.
    Handshake,
    /// The inner service took it. Its own response is the answer.
    Forwarded,
}

impl Accepted {
    /// In snake case, as it appears in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::Duplicate => "duplicate",
            Self::Unhandled => "unhandled",
            Self::TestEvent => "test_event",
            Self::DeadLettered => "dead_lettered",
            Self::Handshake => "handshake",
            Self::Forwarded => "forwarded",
        }
    }
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A row of the table of answers: see [`Answers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// A handler did its work, or the dead-letter hook has the event: 200.
    Done,
    /// The event was done before: 200.
    Duplicate,
    /// Nobody takes the event, or it is a test event that is not wanted: 200.
    Unhandled,
    /// Signature missing, malformed, wrong or stale: 401.
    Unauthentic,
    /// Body longer than the limit: 413.
    BodyTooLarge,
    /// Body too slow: 408.
    BodyTimeout,
    /// Body broken off: 400.
    BodyIncomplete,
    /// Neither a POST nor a handshake: 405.
    MethodNotAllowed,
    /// Encoded body, or a content type that is not wanted: 415.
    UnsupportedBody,
    /// An unsigned handshake that is not written as it should be: 400.
    HandshakeMalformed,
    /// An unsigned handshake with another token or origin than those that are configured: 403.
    HandshakeRefused,
    /// A handshake about a topic that nobody asked for: 404.
    UnknownTopic,
    /// The same event is being handled now: 503.
    InFlight,
    /// The store is down or slow, there is no capacity, or the verification panicked: 503.
    Unavailable,
    /// `respond_by` passed; the handler goes on: 503.
    RespondByPassed,
    /// The handler returned an error, panicked or timed out: 503.
    HandlerFailed,
    /// Permanent or unreadable, and not dead-lettered: 500.
    Permanent,
}

/// The status of every answer that is not the inner service's.
///
/// | what happened | [`Answer`] | status |
/// |---|---|---|
/// | handler done, or dead-lettered | `Done` | 200 |
/// | done before | `Duplicate` | 200 |
/// | type nobody takes, unwanted test event | `Unhandled` | 200 |
/// | signature missing, malformed, wrong, stale | `Unauthentic` | 401 |
/// | body too large / too slow / broken off | `BodyTooLarge` / `BodyTimeout` / `BodyIncomplete` | 413 / 408 / 400 |
/// | neither POST nor handshake / encoded body | `MethodNotAllowed` / `UnsupportedBody` | 405 / 415 |
/// | handshake malformed / refused / of an unknown topic | `HandshakeMalformed` / `HandshakeRefused` / `UnknownTopic` | 400 / 403 / 404 |
/// | being handled now | `InFlight` | 503 |
/// | store down, no capacity, a panic in a `Verify` | `Unavailable` | 503 |
/// | `respond_by` passed | `RespondByPassed` | 503 |
/// | handler error, panic, timeout | `HandlerFailed` | 503 |
/// | permanent or unreadable, no dead-letter hook or it failed | `Permanent` | 500 |
///
/// Their bodies are empty, so that nothing tells a forger why it was refused. Answers of 503 carry `Retry-After`, 1 to
/// 30 whole seconds, and no more than the lease.
///
/// Why these: every documented sender takes 200 for success and retries 503, whereas several stop for good on a
/// 4xx. A duplicate of a done event is 200, since anything else would be retried or held against your endpoint; one
/// of an event in flight is 503, since the first run can still fail. 401 is the one answer to whatever is not
/// authentic.
///
/// ```
/// use http::StatusCode;
/// use tower_webhook::{Answer, Answers, ConfigError};
///
/// // A sender that wants 202 for what it sent before.
/// let answers = Answers::default().with_status(Answer::Duplicate, StatusCode::ACCEPTED)?;
/// assert_eq!(answers.status(Answer::Duplicate), 202);
///
/// // No event that is not done can be acknowledged.
/// let error = answers.with_status(Answer::InFlight, StatusCode::OK).unwrap_err();
/// assert_eq!(error, ConfigError::AcknowledgesUnsettled { answer: "InFlight", status: 200 });
/// # Ok::<(), ConfigError>(())
/// ```
///
/// Given to the layer by [`WebhookLayer::with_answers`](crate::WebhookLayer::with_answers). The answer of an inner
/// service is its own, and that of a [`Handshake`](crate::Handshake) the provider's protocol: no row stands for either.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Answers {
    statuses: [StatusCode; ROWS.len()],
}

const ROWS: [(Answer, StatusCode); 17] = [
    (Answer::Done, StatusCode::OK),
    (Answer::Duplicate, StatusCode::OK),
    (Answer::Unhandled, StatusCode::OK),
    (Answer::Unauthentic, StatusCode::UNAUTHORIZED),
    (Answer::BodyTooLarge, StatusCode::PAYLOAD_TOO_LARGE),
    (Answer::BodyTimeout, StatusCode::REQUEST_TIMEOUT),
    (Answer::BodyIncomplete, StatusCode::BAD_REQUEST),
    (Answer::MethodNotAllowed, StatusCode::METHOD_NOT_ALLOWED),
    (Answer::UnsupportedBody, StatusCode::UNSUPPORTED_MEDIA_TYPE),
    (Answer::HandshakeMalformed, StatusCode::BAD_REQUEST),
    (Answer::HandshakeRefused, StatusCode::FORBIDDEN),
    (Answer::UnknownTopic, StatusCode::NOT_FOUND),
    (Answer::InFlight, StatusCode::SERVICE_UNAVAILABLE),
    (Answer::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
    (Answer::RespondByPassed, StatusCode::SERVICE_UNAVAILABLE),
    (Answer::HandlerFailed, StatusCode::SERVICE_UNAVAILABLE),
    (Answer::Permanent, StatusCode::INTERNAL_SERVER_ERROR),
];

impl Default for Answers {
    fn default() -> Self {
        Self { statuses: ROWS.map(|(_, status)| status) }
    }
}

impl Answers {
    /// Changes one row.
    ///
    /// # Errors
    ///
    /// [`ConfigError::AcknowledgesUnsettled`] for a success status in a row whose event is not settled: the
    /// sender would never send it again. [`ConfigError::InvalidStatus`] for 1xx.
    pub fn with_status(mut self, answer: Answer, status: StatusCode) -> Result<Self, ConfigError> {
        if status.is_informational() {
            return Err(ConfigError::InvalidStatus { status: status.as_u16() });
        }
        let settled = matches!(answer, Answer::Done | Answer::Duplicate | Answer::Unhandled);
        if status.is_success() && !settled {
            let name = answer.name();
            return Err(ConfigError::AcknowledgesUnsettled { answer: name, status: status.as_u16() });
        }
        self.statuses[answer as usize] = status;
        Ok(self)
    }

    /// The status of a row.
    #[must_use]
    pub fn status(&self, answer: Answer) -> StatusCode {
        self.statuses[answer as usize]
    }

    pub(crate) fn accept<RB>(&self, accepted: Accepted) -> Response<ResponseBody<RB>> {
        self.respond(match accepted {
            Accepted::Handled | Accepted::DeadLettered | Accepted::Handshake | Accepted::Forwarded => {
                Answer::Done
            }
            Accepted::Duplicate => Answer::Duplicate,
            Accepted::Unhandled | Accepted::TestEvent => Answer::Unhandled,
        })
    }

    pub(crate) fn reject<RB>(
        &self,
        reason: RejectionReason,
        retry_after: Option<Duration>,
        lease: Duration,
        allow: &'static str,
    ) -> Response<ResponseBody<RB>> {
        let answer = Answer::from(reason);
        let mut response = self.respond(answer);
        if answer == Answer::MethodNotAllowed {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        } else if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            let seconds =
                whole_seconds(retry_after.unwrap_or(DEFAULT_RETRY_AFTER)).min(lease.as_secs().max(1));
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn respond<RB>(&self, answer: Answer) -> Response<ResponseBody<RB>> {
        let mut response = Response::new(ResponseBody::empty());
        *response.status_mut() = self.status(answer);
        response
    }
}

impl Answer {
    fn name(self) -> &'static str {
        match self {
            Self::Done => "Done",
            Self::Duplicate => "Duplicate",
            Self::Unhandled => "Unhandled",
            Self::Unauthentic => "Unauthentic",
            Self::BodyTooLarge => "BodyTooLarge",
            Self::BodyTimeout => "BodyTimeout",
            Self::BodyIncomplete => "BodyIncomplete",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::UnsupportedBody => "UnsupportedBody",
            Self::HandshakeMalformed => "HandshakeMalformed",
            Self::HandshakeRefused => "HandshakeRefused",
            Self::UnknownTopic => "UnknownTopic",
            Self::InFlight => "InFlight",
            Self::Unavailable => "Unavailable",
            Self::RespondByPassed => "RespondByPassed",
            Self::HandlerFailed => "HandlerFailed",
            Self::Permanent => "Permanent",
        }
    }
}

impl From<RejectionReason> for Answer {
    /// The row that answers a reason.
    fn from(reason: RejectionReason) -> Self {
        use RejectionReason as R;
        match reason {
            R::MethodNotAllowed => Self::MethodNotAllowed,
            R::EncodedBody | R::ContentType => Self::UnsupportedBody,
            R::BodyTooLarge => Self::BodyTooLarge,
            R::BodyTimeout => Self::BodyTimeout,
            R::BodyIncomplete => Self::BodyIncomplete,
            R::MissingHeader
            | R::DuplicateHeader
            | R::MalformedHeader
            | R::MalformedTimestamp
            | R::UnsupportedAlgorithm
            | R::UnknownTenant
            | R::SignatureMismatch
            | R::TimestampTooOld
            | R::TimestampInFuture
            | R::EventTooOld => Self::Unauthentic,
            R::HandshakeMalformed => Self::HandshakeMalformed,
            R::HandshakeRefused => Self::HandshakeRefused,
            R::UnknownTopic => Self::UnknownTopic,
            R::InFlight => Self::InFlight,
            R::UnverifiedCapacity
            | R::SecretsUnavailable
            | R::VerificationPanicked
            | R::AtCapacity
            | R::DispatchRefused
            | R::StoreUnavailable
            | R::StoreTimeout => Self::Unavailable,
            R::RespondByPassed => Self::RespondByPassed,
            R::HandlerFailed
            | R::HandlerBusy
            | R::HandlerPanicked
            | R::HandlerTimeout
            | R::ShuttingDown
            | R::InnerRefused => Self::HandlerFailed,
            R::Permanent | R::Unreadable => Self::Permanent,
        }
    }
}

/// Rounds up, 1 to 30.
fn whole_seconds(duration: Duration) -> u64 {
    let duration = duration.min(MAX_RETRY_AFTER);
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

/// Puts the verdict where the layers around can read it.
pub(crate) fn annotate<RB>(response: &mut Response<RB>, verdict: Result<Accepted, RejectionReason>) {
    match verdict {
        Ok(accepted) => drop(response.extensions_mut().insert(accepted)),
        Err(reason) => drop(response.extensions_mut().insert(Rejection::new(reason))),
    }
}

pin_project_lite::pin_project! {
    /// The body of a response: ours, which is empty but for a handshake's, or the inner service's, unchanged.
    pub struct ResponseBody<RB> {
        #[pin]
        kind: Kind<RB>,
    }
}

pin_project_lite::pin_project! {
    #[project = KindProjection]
    enum Kind<RB> {
        Own { bytes: Option<Bytes> },
        Inner { #[pin] body: RB },
    }
}

impl<RB> ResponseBody<RB> {
    fn empty() -> Self {
        Self { kind: Kind::Own { bytes: None } }
    }

    /// What a handshake is answered with.
    pub(crate) fn own(bytes: Bytes) -> Self {
        Self { kind: Kind::Own { bytes: Some(bytes).filter(|bytes| !bytes.is_empty()) } }
    }

    pub(crate) fn inner(body: RB) -> Self {
        Self { kind: Kind::Inner { body } }
    }
}

impl<RB> fmt::Debug for ResponseBody<RB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

impl<RB: Body<Data = Bytes>> Body for ResponseBody<RB> {
    type Data = Bytes;
    type Error = RB::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RB::Error>>> {
        match self.project().kind.project() {
            KindProjection::Own { bytes } => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            KindProjection::Inner { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Own { bytes } => bytes.is_none(),
            Kind::Inner { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Own { bytes } => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Inner { body } => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_their_discriminants() {
        for (index, (answer, status)) in ROWS.into_iter().enumerate() {
            assert_eq!(answer as usize, index);
            assert_eq!(Answers::default().status(answer), status);
        }
    }

    #[test]
    fn only_settled_rows_may_be_a_success() {
        for (answer, _) in ROWS {
            let settled = matches!(answer, Answer::Done | Answer::Duplicate | Answer::Unhandled);
            let accepted = Answers::default().with_status(answer, StatusCode::NO_CONTENT);
            assert_eq!(accepted.is_ok(), settled, "{answer:?}");
            assert!(Answers::default().with_status(answer, StatusCode::BAD_GATEWAY).is_ok());
            assert!(Answers::default().with_status(answer, StatusCode::CONTINUE).is_err());
        }
    }

    #[test]
    fn waits_are_whole_seconds_from_one_to_thirty() {
        for (millis, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (29_001, 30), (99_000, 30)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds, "{millis} ms");
        }
    }
}
