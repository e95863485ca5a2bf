//! The life of one claim. Once begun it is never cancelled: see [`Detachable`](super::Detachable).

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::dead_letter::{DeadLetter, DeadLetterHook};
use super::{Detachable, OnStoreFailure, Tasks};
use crate::dedup::{Claim, ClaimRequest, Completion, DedupStore, Lease, StoreError};
use crate::delivery::Delivery;
use crate::dispatch::{ErrorKind, HandlerError, Outcome};
use crate::error::{BoxError, RejectionReason};
use crate::observe::Observer;
use crate::response::Accepted;
use crate::run::{Ran, run};
use crate::timing::Timing;

/// Attempts to record a completion that the store refused, before the mark is given up.
const COMPLETION_RETRIES: u32 = 64;

/// The first pause between them; each further one is twice as long.
const COMPLETION_PAUSE: Duration = Duration::from_millis(250);

/// And no longer than this: four minutes in all, and an outage is over soon after the store is back.
const MAX_COMPLETION_PAUSE: Duration = Duration::from_secs(4);

/// What every claim needs. Shared by all clones of a layer.
pub(crate) struct Core<St> {
    pub(crate) store: Arc<St>,
    pub(crate) timing: Timing,
    pub(crate) on_store_failure: OnStoreFailure,
    /// Whether test events are kept from the handlers.
    pub(crate) live_only: bool,
    pub(crate) dead_letter: Option<DeadLetterHook>,
    pub(crate) in_flight: Arc<Semaphore>,
    /// Sets claims apart from those of the receiver: see `Processor::with_stage`.
    pub(crate) stage: Option<Arc<str>>,
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) observer: Arc<Observer>,
}

impl<St> Clone for Core<St> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            timing: self.timing.clone(),
            on_store_failure: self.on_store_failure,
            live_only: self.live_only,
            dead_letter: self.dead_letter.clone(),
            in_flight: Arc::clone(&self.in_flight),
            stage: self.stage.clone(),
            tasks: Arc::clone(&self.tasks),
            observer: Arc::clone(&self.observer),
        }
    }
}

impl<St> Core<St> {
    /// Room for one more event, from before its dispatch is ready until its completion is recorded.
    pub(crate) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.in_flight).try_acquire_owned().ok()
    }

    /// Work on `delivery` that goes on in a task of its own when it is dropped.
    pub(crate) fn detachable<F>(&self, work: F, delivery: Delivery) -> Detachable<F>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        Detachable::new(work, delivery, Arc::clone(&self.tasks), Arc::clone(&self.observer))
    }

    /// The scope that an event is claimed under.
    pub(crate) fn scope<'d>(&self, delivery: &'d Delivery) -> Cow<'d, str> {
        match &self.stage {
            None => delivery.scope().into(),
            // `#` cannot stand in the name of a provider or an endpoint.
            Some(stage) => format!("{}#{stage}", delivery.scope()).into(),
        }
    }
}

/// What the work under a claim came to.
pub(crate) enum Effect<T> {
    /// A handler's outcome.
    Handled(Outcome),
    /// The dispatch refused before, or gave up while, a handler ran.
    Refused(BoxError),
    /// The inner service's answer, and whether it stands for success.
    Forwarded { answer: T, success: bool },
}

/// How a delivery ended, for the answer, logs and metrics.
type Verdict = Result<Accepted, RejectionReason>;

/// How a delivery ended, with everything that its answer may need.
pub(crate) struct Settled<T> {
    pub(crate) verdict: Verdict,
    pub(crate) outcome: Outcome,
    /// The inner service's answer.
    pub(crate) answer: Option<T>,
}

impl<T> Settled<T> {
    pub(crate) fn accepted(accepted: Accepted, outcome: Outcome) -> Self {
        Self { verdict: Ok(accepted), outcome, answer: None }
    }

    pub(crate) fn busy(reason: RejectionReason, retry_after: Duration) -> Self {
        Self { verdict: Err(reason), outcome: Outcome::Busy { retry_after }, answer: None }
    }

    fn failed(reason: RejectionReason, error: HandlerError) -> Self {
        Self { verdict: Err(reason), outcome: Outcome::Failed(error), answer: None }
    }
}

/// How long a sender should wait before it finds room.
pub(crate) const CAPACITY_PAUSE: Duration = Duration::from_secs(1);

/// How long a sender should wait for a store or a handler to recover.
const RECOVERY_PAUSE: Duration = Duration::from_secs(5);

/// Claims the event of `delivery`, runs `effect`, completes or releases the claim.
pub(crate) async fn settle<St, T, F>(
    core: Arc<Core<St>>,
    permit: OwnedSemaphorePermit,
    delivery: Delivery,
    effect: impl FnOnce(Delivery) -> F,
) -> Settled<T>
where
    St: DedupStore,
    F: Future<Output = Effect<T>>,
{
    let settled = attempt(&core, permit, &delivery, effect).await;
    if delivery.take_moved() {
        core.observer.finished_late(&delivery, settled.verdict);
    }
    settled
}

async fn attempt<St, T, F>(
    core: &Arc<Core<St>>,
    permit: OwnedSemaphorePermit,
    delivery: &Delivery,
    effect: impl FnOnce(Delivery) -> F,
) -> Settled<T>
where
    St: DedupStore,
    F: Future<Output = Effect<T>>,
{
    // What nothing tells from others cannot be recognised again: a mark for it would only push others out.
    let claim = if delivery.is_identified() { Some(claim(core, delivery).await) } else { None };
    let lease = match claim.transpose() {
        Ok(None) => None,
        Ok(Some(Claim::Acquired(lease))) => Some(lease),
        Ok(Some(Claim::Done)) => return Settled::accepted(Accepted::Duplicate, Outcome::Duplicate),
        Ok(Some(Claim::InFlight { retry_after })) => {
            return Settled::busy(RejectionReason::InFlight, retry_after);
        }
        // A store that answers, if only that it is full or damaged, is not down: nothing runs without its word.
        Err(error) => match core.on_store_failure {
            OnStoreFailure::Process if !error.is_full() && !error.is_corrupt() => {
                core.observer.ran_without_claim();
                None
            }
            OnStoreFailure::Process | OnStoreFailure::Reject => {
                let timed_out = error.is_timeout();
                let reason =
                    if timed_out { RejectionReason::StoreTimeout } else { RejectionReason::StoreUnavailable };
                return Settled::busy(reason, RECOVERY_PAUSE);
            }
        },
    };
    delivery.mark_waiting();
    let claimed = Claimed { core, delivery, lease, permit };
    let ran = {
        let _running = core.observer.handler_started();
        run(|| effect(delivery.clone()), core.timing.handler_timeout(), || core.tasks.stopping()).await
    };
    match ran {
        Ran::Finished(Effect::Handled(outcome)) => claimed.handled(outcome).await,
        Ran::Finished(Effect::Refused(error)) => claimed.refused(&error).await,
        Ran::Finished(Effect::Forwarded { answer, success }) => claimed.forwarded(answer, success).await,
        Ran::Panicked => {
            let error = HandlerError::of(ErrorKind::Panicked, "the handler panicked");
            claimed.retry(RejectionReason::HandlerPanicked, error).await
        }
        // Blocking work that the handler started may still be running: the lease is left to run out.
        Ran::TimedOut => {
            let error = HandlerError::of(ErrorKind::TimedOut, "the handler ran into its timeout");
            claimed.failed(RejectionReason::HandlerTimeout, error)
        }
        Ran::Stopped => {
            let error = HandlerError::of(ErrorKind::Stopped, "the handler was stopped at shutdown");
            claimed.retry(RejectionReason::ShuttingDown, error).await
        }
    }
}

/// An event that is ours to finish. Without a lease where the store could not be asked.
struct Claimed<'a, St> {
    core: &'a Arc<Core<St>>,
    delivery: &'a Delivery,
    lease: Option<Lease>,
    permit: OwnedSemaphorePermit,
}

impl<St: DedupStore> Claimed<'_, St> {
    async fn handled<T>(self, outcome: Outcome) -> Settled<T> {
        match outcome {
            Outcome::Done => {
                self.complete().await;
                Settled::accepted(Accepted::Handled, Outcome::Done)
            }
            // An inbox found its mark: the event is done, if not by this attempt.
            Outcome::Duplicate => {
                self.complete().await;
                Settled::accepted(Accepted::Duplicate, Outcome::Duplicate)
            }
            // The handler declined: as if nobody took the type.
            Outcome::Unhandled => {
                self.release().await;
                Settled::accepted(Accepted::Unhandled, Outcome::Unhandled)
            }
            Outcome::Busy { retry_after } => {
                self.release().await;
                Settled::busy(RejectionReason::HandlerBusy, retry_after)
            }
            Outcome::Failed(error) if error.is_permanent() => {
                self.dead_letter(RejectionReason::Permanent, error).await
            }
            Outcome::Failed(error) if error.is_unreadable() => {
                self.dead_letter(RejectionReason::Unreadable, error).await
            }
            // Caught by an inbox, which has rolled back.
            Outcome::Failed(error) if error.is_panic() => {
                self.retry(RejectionReason::HandlerPanicked, error).await
            }
            Outcome::Failed(error) => self.retry(RejectionReason::HandlerFailed, error).await,
            Outcome::Permanent(error) => self.dead_letter(RejectionReason::Permanent, error).await,
            Outcome::Unreadable(error) => self.dead_letter(RejectionReason::Unreadable, error).await,
        }
    }

    async fn refused<T>(self, error: &BoxError) -> Settled<T> {
        // An inbox that could not begin: nothing has run.
        if let Some(error) = error.downcast_ref::<StoreError>() {
            self.core.observer.store_failed("inbox", error);
            self.release().await;
            return Settled::busy(RejectionReason::StoreUnavailable, RECOVERY_PAUSE);
        }
        self.core.observer.dispatch_refused(self.delivery, error);
        // A handler that was cut off may have started work that goes on.
        if self.delivery.has_started() {
            return Settled::busy(RejectionReason::DispatchRefused, self.core.timing.lease());
        }
        self.release().await;
        Settled::busy(RejectionReason::DispatchRefused, CAPACITY_PAUSE)
    }

    async fn forwarded<T>(self, answer: T, success: bool) -> Settled<T> {
        let mut settled = if success {
            self.complete().await;
            Settled::accepted(Accepted::Forwarded, Outcome::Done)
        } else {
            self.release().await;
            let error = HandlerError::retry("the inner service did not answer with success");
            Settled::failed(RejectionReason::InnerRefused, error)
        };
        settled.answer = Some(answer);
        settled
    }

    /// Gives the event back, for the next attempt to run.
    async fn retry<T>(self, reason: RejectionReason, error: HandlerError) -> Settled<T> {
        self.release().await;
        self.failed(reason, error)
    }

    fn failed<T>(self, reason: RejectionReason, error: HandlerError) -> Settled<T> {
        self.core.observer.handler_failed(self.delivery, reason, &error);
        Settled::failed(reason, error)
    }

    async fn dead_letter<T>(self, reason: RejectionReason, error: HandlerError) -> Settled<T> {
        if hand_over(self.core, self.delivery, &error).await {
            self.core.observer.handler_failed(self.delivery, reason, &error);
            self.complete().await;
            let outcome = match reason {
                RejectionReason::Unreadable => Outcome::Unreadable(error),
                _ => Outcome::Permanent(error),
            };
            Settled::accepted(Accepted::DeadLettered, outcome)
        } else {
            self.retry(reason, error).await
        }
    }

    async fn complete(self) {
        let Some(lease) = self.lease else { return };
        match complete(self.core, &lease).await {
            Ok(Completion::Completed) => {}
            Ok(Completion::LeaseLost) => self.core.observer.lease_lost(self.delivery),
            // The work is done whatever the store says: it is answered 200, and recorded later. Until then it counts
            // as in flight, so that a store which takes claims and no completions cannot pile them up.
            Err(_) => {
                let (core, delivery, permit) = (Arc::clone(self.core), self.delivery.clone(), self.permit);
                self.core.tasks.spawn(Box::pin(async move {
                    complete_later(core, delivery, lease).await;
                    drop(permit);
                }));
            }
        }
    }

    async fn release(&self) {
        let Some(lease) = &self.lease else { return };
        let released = within_store_timeout(self.core, || self.core.store.release(lease)).await;
        if let Err(error) = released {
            self.core.observer.store_failed("release", &error);
        }
    }
}

async fn claim<St: DedupStore>(core: &Core<St>, delivery: &Delivery) -> Result<Claim, StoreError> {
    let (scope, lease) = (core.scope(delivery), core.timing.lease());
    let request = ClaimRequest::new(&scope, delivery.event_type(), delivery.id(), lease);
    let claim = within_store_timeout(core, || core.store.claim(&request)).await;
    claim.inspect_err(|error| core.observer.store_failed("claim", error))
}

async fn complete<St: DedupStore>(core: &Core<St>, lease: &Lease) -> Result<Completion, StoreError> {
    let retention = core.timing.retention();
    let completion = within_store_timeout(core, || core.store.complete(lease, retention)).await;
    completion.inspect_err(|error| core.observer.store_failed("complete", error))
}

async fn complete_later<St: DedupStore>(core: Arc<Core<St>>, delivery: Delivery, lease: Lease) {
    let mut pause = COMPLETION_PAUSE;
    for _ in 0..COMPLETION_RETRIES {
        // A shutdown does not wait for the pause: there is one attempt left, and it is now.
        let last = tokio::time::timeout(pause, core.tasks.stopped()).await.is_ok();
        core.observer.completion_retried();
        match complete(&core, &lease).await {
            Ok(Completion::Completed) => return,
            Ok(Completion::LeaseLost) => return core.observer.lease_lost(&delivery),
            Err(_) if last => return,
            Err(_) => pause = (pause * 2).min(MAX_COMPLETION_PAUSE),
        }
    }
}

/// Bounds a store operation in time, and keeps a panic of a store from taking the connection with it.
async fn within_store_timeout<St, T, F>(core: &Core<St>, start: impl FnOnce() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    match run(start, core.timing.store_timeout(), || false).await {
        Ran::Finished(result) => result,
        Ran::Panicked => Err(StoreError::unavailable("the store panicked")),
        Ran::TimedOut | Ran::Stopped => Err(StoreError::timeout()),
    }
}

/// Gives the event to the dead-letter hook; `true` when the hook has it.
async fn hand_over<St>(core: &Core<St>, delivery: &Delivery, error: &HandlerError) -> bool {
    let Some(hook) = &core.dead_letter else { return false };
    let letter = DeadLetter::new(delivery.clone(), error.clone());
    match run(|| hook.call(letter), core.timing.dead_letter_timeout(), || false).await {
        Ran::Finished(Ok(())) => return true,
        Ran::Finished(Err(error)) => core.observer.dead_letter_failed(delivery, Some(&error)),
        Ran::Panicked | Ran::TimedOut | Ran::Stopped => core.observer.dead_letter_failed(delivery, None),
    }
    false
}
