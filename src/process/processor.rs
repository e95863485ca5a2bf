//! The receiver without HTTP, for queue consumers and catch-up jobs.

use std::fmt;
use std::future::{Future, poll_fn, ready};
use std::sync::Arc;

use tower_service::Service;

use super::settle::{CAPACITY_PAUSE, Core, Effect, Settled, settle};
use super::{Detachable, Ran, run};
use crate::dedup::{DedupKey, DedupStore, StoreError};
use crate::delivery::Delivery;
use crate::dispatch::{Dispatch, HandlerError, IntoOutcome, Outcome};
use crate::error::{BoxError, RejectionReason};

/// Claim, dispatch and completion without HTTP: runs the same handlers under the same deduplication for
/// deliveries that come out of a queue, or were fetched to catch up.
///
/// From [`WebhookLayer::processor`](crate::WebhookLayer::processor).
///
/// ```
/// use tower_webhook::{EventRouter, Outcome, Secret, WebhookLayer, caspay, testing};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_webhook::BoxError> {
/// let events = EventRouter::new().on(async |event: caspay::events::PaymentCompleted| drop(event));
/// let processor = WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret")?)?
///     .with_dispatch(events)
///     .processor();
///
/// let body = r#"{"id":"evt_1","type":"payment.completed","data":
///     {"payment":{"id":"pay_1","amount":7,"currency":"CSPR","status":"completed"}}}"#;
/// let delivery = testing::delivery(&caspay::provider(), body)?;
/// assert!(matches!(processor.process(delivery.clone()).await, Outcome::Done));
/// assert!(matches!(processor.process(delivery).await, Outcome::Duplicate));
/// # Ok(())
/// # }
/// ```
pub struct Processor<D, St> {
    core: Arc<Core<St>>,
    dispatch: D,
}

impl<D, St> Processor<D, St> {
    pub(crate) fn new(core: Arc<Core<St>>, dispatch: D) -> Self {
        Self { core, dispatch }
    }
}

impl<D: Dispatch + Sync, St: DedupStore> Processor<D, St> {
    /// Processes one delivery. An outcome that [`is_settled`](Outcome::is_settled) needs no further attempt;
    /// every other one does. A test event is `Unhandled` where the layer
    /// [requires live mode](crate::WebhookLayer::require_live_mode).
    ///
    /// The signature and the age of the event are the layer's affair: they are not looked at here.
    ///
    /// Cancel-safe in the sense that matters: dropped once the event is claimed, the rest moves into a task of
    /// its own.
    pub async fn process(&self, delivery: Delivery) -> Outcome {
        let live = if self.core.live_only { delivery.livemode() } else { Some(true) };
        if live == Some(false) || !self.dispatch.takes(delivery.event_type()) {
            return Outcome::Unhandled;
        }
        if live.is_none() {
            let error = HandlerError::unreadable("the envelope has no livemode");
            return self.settle(delivery, |_| ready(Effect::Handled(error.into_outcome()))).await;
        }
        let mut dispatch = self.dispatch.clone();
        let prepared = run(|| prepare(&mut dispatch), self.core.timing.handler_timeout(), || false).await;
        if prepared != Ran::Finished(true) {
            return Settled::<()>::busy(RejectionReason::DispatchRefused, CAPACITY_PAUSE).outcome;
        }
        self.settle(delivery, |delivery| dispatch_effect(dispatch, delivery)).await
    }

    async fn settle<F>(
        &self,
        delivery: Delivery,
        effect: impl FnOnce(Delivery) -> F + Send + 'static,
    ) -> Outcome
    where
        F: Future<Output = Effect<()>> + Send + 'static,
    {
        let (tasks, observer) = (Arc::clone(&self.core.tasks), Arc::clone(&self.core.observer));
        let work = settle(Arc::clone(&self.core), delivery.clone(), effect);
        Detachable::new(work, delivery, tasks, observer).await.outcome
    }

    /// Forgets that an event is done, so that a redelivery of it runs again: for the operator whose handler was
    /// wrong when the event came. A handler that is running is not affected.
    ///
    /// # Errors
    ///
    /// Where the store cannot answer.
    ///
    /// ```
    /// # use tower_webhook::{EventRouter, Outcome, Secret, WebhookLayer, caspay, testing};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower_webhook::BoxError> {
    /// # let processor = WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret")?)?
    /// #     .with_dispatch(EventRouter::new().on_type("payment.*", async |_: serde_json::Value| ()))
    /// #     .processor();
    /// # let body = r#"{"id":"evt_1","type":"payment.completed","data":{}}"#;
    /// # let delivery = testing::delivery(&caspay::provider(), body)?;
    /// assert!(matches!(processor.process(delivery.clone()).await, Outcome::Done));
    /// processor.forget(&delivery).await?;
    /// assert!(matches!(processor.process(delivery).await, Outcome::Done)); // not `Duplicate`
    /// # Ok(())
    /// # }
    /// ```
    pub async fn forget(&self, delivery: &Delivery) -> Result<(), StoreError> {
        let key = DedupKey::new(delivery.scope(), delivery.event_type(), delivery.id());
        self.core.store.forget(&key).await
    }
}

impl<D: Clone, St> Clone for Processor<D, St> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), dispatch: self.dispatch.clone() }
    }
}

impl<D, St> fmt::Debug for Processor<D, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processor").finish_non_exhaustive()
    }
}

/// Waits until a service is ready.
pub(crate) async fn readiness<T, R>(service: &mut T) -> Result<(), T::Error>
where
    T: Service<R>,
{
    poll_fn(|cx| service.poll_ready(cx)).await
}

/// Waits until a dispatch is ready; `false` where it never will be.
pub(crate) async fn prepare<D: Dispatch>(dispatch: &mut D) -> bool {
    readiness(dispatch).await.is_ok()
}

/// Calls a dispatch that is ready.
pub(crate) fn dispatch_effect<D: Dispatch, T>(
    mut dispatch: D,
    delivery: Delivery,
) -> impl Future<Output = Effect<T>> + Send + use<D, T> {
    let outcome = dispatch.call(delivery);
    async move {
        match outcome.await {
            Ok(outcome) => Effect::Handled(outcome),
            Err(error) => Effect::Refused(Into::<BoxError>::into(error)),
        }
    }
}
