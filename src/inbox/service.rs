//! One attempt: begin, mark, handle, commit.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sqlx::AssertSqlSafe;
use tokio::time::timeout;
use tower_service::Service;

use super::database::InboxDatabase;
use super::held::Held;
use super::tx::Attempt;
use super::{Inbox, Settings};
use crate::dedup::sql::failed;
use crate::dedup::{Claim, ClaimRequest, Lease, StoreError};
use crate::delivery::Delivery;
use crate::dispatch::{ErrorKind, HandlerError, Outcome};
use crate::error::BoxError;
use crate::run::{Ran, run};

/// How long an event waits for a connection and its mark: as long as a store is given.
const ENTRY: Duration = Duration::from_secs(2);

/// How long the record of a failure may take. The answer waits for it.
const RECORD: Duration = Duration::from_secs(1);

/// When a sender should try again that met another attempt, or no free connection.
const CONTENTION_PAUSE: Duration = Duration::from_secs(1);

/// The layer's timeout of the handler ends the attempt; this one has none of its own.
const UNBOUNDED: Duration = Duration::MAX;

/// A dispatch whose handlers run in the transaction that holds their event's mark. Made by [`Inbox`].
pub struct InboxService<S, DB: InboxDatabase> {
    inner: S,
    inbox: Inbox<DB>,
}

impl<S, DB: InboxDatabase> InboxService<S, DB> {
    pub(super) fn new(inner: S, inbox: Inbox<DB>) -> Self {
        Self { inner, inbox }
    }
}

impl<S, DB> Service<Delivery> for InboxService<S, DB>
where
    S: Service<Delivery, Response = Outcome, Error: Into<BoxError>, Future: Send> + Clone + Send + 'static,
    DB: InboxDatabase,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = InboxFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, delivery: Delivery) -> InboxFuture {
        let unready = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, unready);
        InboxFuture { attempt: Box::pin(attempt(self.inbox.clone(), inner, delivery)) }
    }
}

/// What came of the wait for a transaction and a mark.
enum Entered<DB: InboxDatabase> {
    /// The event is ours, unless the transaction is rolled back. Without a lease where nothing identifies the event.
    Ours(Held<DB>, Option<Lease>),
    Settled(Outcome),
}

async fn attempt<S, DB>(inbox: Inbox<DB>, mut inner: S, delivery: Delivery) -> Result<Outcome, BoxError>
where
    S: Service<Delivery, Response = Outcome, Error: Into<BoxError>, Future: Send>,
    DB: InboxDatabase,
{
    let busy = || Ok(Outcome::Busy { retry_after: CONTENTION_PAUSE });
    let (held, lease) = match timeout(ENTRY, enter(&inbox, &delivery)).await {
        Err(_elapsed) => return busy(),
        Ok(Err(error)) if DB::is_contention(&error) || error.is_timeout() => return busy(),
        Ok(entered) => match entered? {
            Entered::Ours(held, lease) => (held, lease),
            Entered::Settled(outcome) => return Ok(outcome),
        },
    };

    let slot = Attempt::new(held);
    let mut handed_over = delivery.clone();
    handed_over.extensions_mut().insert(slot.slot());
    let ended = match run(|| inner.call(handed_over), UNBOUNDED, || false).await {
        Ran::Finished(ended) => ended.map_err(Into::into),
        Ran::Panicked => Ok(Outcome::Failed(HandlerError::of(ErrorKind::Panicked, "the handler panicked"))),
        Ran::TimedOut | Ran::Stopped => busy(),
    };
    let held = slot.close();
    let answer = match ended {
        Ok(Outcome::Done | Outcome::Duplicate) => Ok(commit(&inbox, held, lease.as_ref()).await),
        other => {
            // Frees the event before anything else is done.
            if let Some(held) = held {
                held.roll_back().await;
            }
            other
        }
    };
    match &answer {
        Ok(Outcome::Failed(error) | Outcome::Permanent(error) | Outcome::Unreadable(error)) => {
            record(&inbox, &delivery, &error.to_string()).await;
        }
        Err(error) => record(&inbox, &delivery, &error.to_string()).await,
        Ok(_) => {}
    }
    answer
}

async fn enter<DB: InboxDatabase>(inbox: &Inbox<DB>, delivery: &Delivery) -> Result<Entered<DB>, StoreError> {
    let mut held = begin(inbox).await?;
    if !delivery.is_identified() {
        return Ok(Entered::Ours(held, None));
    }
    let outcome = match claim(inbox, &mut held, delivery).await? {
        Claim::Acquired(lease) => return Ok(Entered::Ours(held, Some(lease))),
        Claim::Done => Outcome::Duplicate,
        Claim::InFlight { retry_after } => Outcome::Busy { retry_after },
    };
    held.roll_back().await;
    Ok(Entered::Settled(outcome))
}

async fn begin<DB: InboxDatabase>(inbox: &Inbox<DB>) -> Result<Held<DB>, StoreError> {
    // Never closed.
    let place = Arc::clone(&inbox.transactions).acquire_owned().await.map_err(StoreError::unavailable)?;
    // The statement is ours, with numbers of the configuration in it.
    let Settings { lock_timeout, idle_timeout, .. } = inbox.settings;
    let begin = AssertSqlSafe(DB::begin(lock_timeout, idle_timeout));
    Held::begin(&inbox.pool, place, begin).await.map_err(failed)
}

async fn claim<DB: InboxDatabase>(
    inbox: &Inbox<DB>,
    held: &mut Held<DB>,
    delivery: &Delivery,
) -> Result<Claim, StoreError> {
    let scope = inbox.scope(delivery);
    // Seen by nobody before the commit: this lease matters only where a handler commits by itself.
    let lease = inbox.settings.idle_timeout;
    let request = ClaimRequest::new(&scope, delivery.event_type(), delivery.id(), lease);
    DB::claim(held, &request).await
}

/// Commits mark and effect. Where the answer to the commit is lost nobody knows whether it happened: the next attempt
/// reads the mark.
async fn commit<DB: InboxDatabase>(
    inbox: &Inbox<DB>,
    held: Option<Held<DB>>,
    lease: Option<&Lease>,
) -> Outcome {
    let retry = |error: BoxError| Outcome::Failed(HandlerError::retry(error));
    let Some(mut held) = held else {
        return retry("the handler ended and its `Tx` did not come back".into());
    };
    let completed = match lease {
        // It fails where a statement of the handler has failed: a commit alone would roll back without a word.
        Some(lease) => DB::complete(&mut held, lease, inbox.settings.retention).await,
        None => DB::probe(&mut held).await,
    };
    match completed {
        Ok(true) => {}
        Ok(false) => return retry("the handler ended the transaction that held the mark".into()),
        Err(error) => return retry(error.into()),
    }
    match held.commit().await {
        Ok(()) => Outcome::Done,
        Err(error) => retry(error.into()),
    }
}

/// Records a failed attempt, after it was rolled back, for operators. Another attempt may have the event by now, or
/// have it done: then there is nothing to record.
async fn record<DB: InboxDatabase>(inbox: &Inbox<DB>, delivery: &Delivery, error: &str) {
    let recorded = async {
        let mut held = begin(inbox).await?;
        if let Claim::Acquired(lease) = claim(inbox, &mut held, delivery).await? {
            DB::fail(&mut held, &lease, error).await.map_err(failed)?;
            held.commit().await.map_err(failed)?;
        }
        Ok::<_, StoreError>(())
    };
    if delivery.is_identified() {
        // In vain where the database cannot be reached, which is why the attempt has failed.
        let _ = timeout(RECORD, recorded).await;
    }
}

impl<S: Clone, DB: InboxDatabase> Clone for InboxService<S, DB> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), inbox: self.inbox.clone() }
    }
}

impl<S, DB: InboxDatabase> fmt::Debug for InboxService<S, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxService").field("inbox", &self.inbox).finish_non_exhaustive()
    }
}

/// The future of an [`InboxService`]. Dropped before its end, the transaction is rolled back.
#[must_use]
pub struct InboxFuture {
    attempt: Pin<Box<dyn Future<Output = Result<Outcome, BoxError>> + Send>>,
}

impl Future for InboxFuture {
    type Output = Result<Outcome, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.attempt.as_mut().poll(cx)
    }
}

impl fmt::Debug for InboxFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboxFuture").finish_non_exhaustive()
    }
}
