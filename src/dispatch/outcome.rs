//! What became of an event, and how a handler says so.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::BoxError;

/// What became of an event.
///
/// Handlers return it where `()` or a `Result` is not enough; [`Processor::process`](crate::Processor::process)
/// returns it for every delivery.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The effect is durable.
    Done,
    /// Nobody takes events of this type. Acknowledged without a claim, so that a redelivery after the next
    /// deploy still runs. A handler that returns it declines for good: the inner service is not asked.
    Unhandled,
    /// The event was done before; no handler ran.
    Duplicate,
    /// Not now: it is being handled, or there is no room. From a handler: try again later; the claim is given back.
    Busy {
        /// How long to wait before the next attempt.
        retry_after: Duration,
    },
    /// Not done; the next attempt runs again.
    ///
    /// From `process`, an error that [`is_permanent`](HandlerError::is_permanent) or
    /// [`is_unreadable`](HandlerError::is_unreadable) stands here where it could not be dead-lettered.
    Failed(HandlerError),
    /// No retry can help. From `process`: and the dead-letter hook has it.
    Permanent(HandlerError),
    /// Authentic, but it cannot be read: no retry can help. From `process`: and the dead-letter hook has it.
    Unreadable(HandlerError),
}

impl Outcome {
    /// Whether the event needs no further attempt: what a queue consumer acknowledges.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_webhook::Outcome;
    ///
    /// assert!(Outcome::Done.is_settled() && Outcome::Duplicate.is_settled());
    /// assert!(!Outcome::Busy { retry_after: Duration::from_secs(1) }.is_settled());
    /// ```
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match self {
            Self::Done | Self::Unhandled | Self::Duplicate | Self::Permanent(_) | Self::Unreadable(_) => true,
            Self::Busy { .. } | Self::Failed(_) => false,
        }
    }

    /// The outcome in snake case, as it appears in logs and metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unhandled => "unhandled",
            Self::Duplicate => "duplicate",
            Self::Busy { .. } => "busy",
            Self::Failed(_) => "failed",
            Self::Permanent(_) => "permanent",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

/// Why a handler did not get its work done.
///
/// Any [`Error`] converts into one by `?`, and then means *try again*. Like `anyhow::Error` it is not itself an
/// [`Error`], which is what makes that conversion possible. Clones share one error.
///
/// ```
/// use tower_webhook::HandlerError;
///
/// async fn handler(amount: &str) -> Result<(), HandlerError> {
///     let amount: u64 = amount.parse().map_err(HandlerError::permanent)?; // a retry would bring the same text
///     std::fs::write("/nonexistent/ledger", amount.to_string())?;          // the disk may come back
///     Ok(())
/// }
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// assert!(handler("twelve").await.unwrap_err().is_permanent());
/// assert!(!handler("12").await.unwrap_err().is_permanent());
/// # });
/// ```
#[derive(Clone)]
pub struct HandlerError {
    kind: ErrorKind,
    source: Arc<dyn Error + Send + Sync>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    Retry,
    Permanent,
    Unreadable,
    Panicked,
    TimedOut,
    Stopped,
}

impl HandlerError {
    /// The next attempt may succeed: the claim is released and the sender told to retry.
    pub fn retry(source: impl Into<BoxError>) -> Self {
        Self::of(ErrorKind::Retry, source)
    }

    /// No retry can help: the event goes to the dead-letter hook and is acknowledged. Without a hook, or where
    /// it fails, the sender is told to retry all the same.
    pub fn permanent(source: impl Into<BoxError>) -> Self {
        Self::of(ErrorKind::Permanent, source)
    }

    /// The event cannot be read. Treated as [`permanent`](Self::permanent), and counted apart.
    pub fn unreadable(source: impl Into<BoxError>) -> Self {
        Self::of(ErrorKind::Unreadable, source)
    }

    /// Says where the payload stopped to fit, without quoting it: serde_json's own text would.
    #[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
    pub(crate) fn unreadable_json(error: serde_json::Error) -> Self {
        Self::unreadable(format!(
            "the payload does not fit the type: {:?} error at line {} column {}",
            error.classify(),
            error.line(),
            error.column()
        ))
    }

    pub(crate) fn of(kind: ErrorKind, source: impl Into<BoxError>) -> Self {
        match source.into().downcast::<Carried>() {
            Ok(carried) => Self { kind, source: carried.0.source },
            Err(source) => Self { kind, source: source.into() },
        }
    }

    /// An error that was boxed on its way keeps what it meant.
    fn returned(error: BoxError) -> Self {
        match error.downcast::<Carried>() {
            Ok(carried) => carried.0,
            Err(source) => Self { kind: ErrorKind::Retry, source: source.into() },
        }
    }

    /// Whether no retry can help, as the handler said.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.kind == ErrorKind::Permanent
    }

    /// Whether the event could not be read.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.kind == ErrorKind::Unreadable
    }

    /// Whether the handler panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.kind == ErrorKind::Panicked
    }

    /// Whether the handler ran into `handler_timeout`. It was dropped, and its lease is left to run out, since
    /// blocking work that it started may still be running.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.kind == ErrorKind::TimedOut
    }

    /// The error that the handler returned.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.source
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.source, f)
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerError").field("kind", &self.kind).field("source", &self.source).finish()
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::retry(error)
    }
}

impl From<HandlerError> for BoxError {
    fn from(error: HandlerError) -> Self {
        Box::new(Carried(error))
    }
}

/// Carries a [`HandlerError`] through a `Box<dyn Error>`.
#[derive(Debug)]
struct Carried(HandlerError);

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for Carried {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.source()
    }
}

/// What a handler may return: `()`, [`Outcome`], or a `Result` of one of them and any error.
///
/// ```
/// use tower_webhook::Outcome;
/// use tower_webhook::dispatch::IntoOutcome;
///
/// assert!(matches!(().into_outcome(), Outcome::Done));
/// assert!(matches!(Err::<(), _>("the disk is full").into_outcome(), Outcome::Failed(_)));
/// ```
#[diagnostic::on_unimplemented(
    message = "a webhook handler cannot return `{Self}`",
    label = "not something a handler may return",
    note = "return `()`, `Outcome`, or `Result<_, E>` with an `E` that converts into a boxed error"
)]
pub trait IntoOutcome {
    /// Says what became of the event.
    fn into_outcome(self) -> Outcome;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Outcome {
        Outcome::Done
    }
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Outcome {
        self
    }
}

impl<T: IntoOutcome, E: Into<BoxError>> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> Outcome {
        match self {
            Ok(value) => value.into_outcome(),
            Err(error) => HandlerError::returned(error.into()).into_outcome(),
        }
    }
}

impl IntoOutcome for HandlerError {
    fn into_outcome(self) -> Outcome {
        match self.kind {
            ErrorKind::Permanent => Outcome::Permanent(self),
            ErrorKind::Unreadable => Outcome::Unreadable(self),
            ErrorKind::Retry | ErrorKind::Panicked | ErrorKind::TimedOut | ErrorKind::Stopped => {
                Outcome::Failed(self)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_means_try_again() {
        let io = || std::io::Error::other("disk full");
        assert!(matches!(().into_outcome(), Outcome::Done));
        assert!(matches!(Ok::<_, std::io::Error>(Outcome::Unhandled).into_outcome(), Outcome::Unhandled));
        let Outcome::Failed(error) = Err::<(), _>(io()).into_outcome() else { panic!("not failed") };
        assert_eq!(error.to_string(), "disk full");
        assert!(!error.is_permanent() && !error.is_unreadable() && !error.is_panic() && !error.is_timeout());
        assert!(matches!(Err::<(), _>("text").into_outcome(), Outcome::Failed(_)));
    }

    #[test]
    fn what_an_error_means_survives_boxing() {
        let permanent = || HandlerError::permanent(std::io::Error::other("closed account"));
        let outcome = Err::<(), _>(permanent()).into_outcome();
        assert!(matches!(&outcome, Outcome::Permanent(error) if error.is_permanent()));
        let boxed: BoxError = permanent().into();
        assert_eq!(boxed.to_string(), "closed account");
        assert!(matches!(Err::<(), _>(boxed).into_outcome(), Outcome::Permanent(_)));
        let boxed: BoxError = HandlerError::unreadable("x").into();
        assert!(matches!(Err::<(), _>(boxed).into_outcome(), Outcome::Unreadable(_)));
        let boxed: BoxError = HandlerError::retry("x").into();
        assert!(HandlerError::permanent(boxed).is_permanent());
        let boxed: BoxError = permanent().into();
        assert!(!HandlerError::retry(boxed).is_permanent(), "said anew");
    }
}
