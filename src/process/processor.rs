//! The receiver without HTTP, for queue consumers and catch-up jobs.

use std::fmt;
use std::future::{Future, poll_fn, ready};
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use tower_service::Service;

use super::settle::{CAPACITY_PAUSE, Core, Effect, Settled, settle};
use crate::clock::Clock;
use crate::dedup::{DedupKey, DedupStore, StoreError};
use crate::delivery::{Circumstances, Delivery};
use crate::dispatch::{Dispatch, HandlerError, IntoOutcome, Outcome};
use crate::error::{BoxError, ConfigError, RejectionReason};
use crate::provider::{Provider, check_name};
use crate::run::{Ran, run};

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
    source: Source,
    dispatch: D,
}

/// Whose deliveries these are.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) provider: Arc<Provider>,
    pub(crate) provider_name: Arc<str>,
    pub(crate) scope: Arc<str>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether each delivery is a tenant's.
    pub(crate) has_tenants: bool,
}

impl Source {
    fn fetching(&self) -> Circumstances {
        Circumstances {
            provider: Arc::clone(&self.provider_name),
            scope: Arc::clone(&self.scope),
            tenant: None,
            secret_label: None,
            received_at: self.clock.now(),
            signed_at: None,
            fetched: true,
            headers: HeaderMap::new(),
        }
    }
}

/// For jobs that catch up.
#[cfg(feature = "endpoints")]
impl<D, St> Processor<D, St> {
    pub(crate) fn provider_name(&self) -> &str {
        &self.source.provider_name
    }

    /// Whether fetched events can be told from one another, and belong to somebody.
    pub(crate) fn can_fetch(&self) -> bool {
        !self.source.has_tenants
    }

    /// Whether its marks are apart from those of the receiver.
    pub(crate) fn has_stage(&self) -> bool {
        self.core.stage.is_some()
    }

    /// The time by the layer's clock.
    pub(crate) fn now(&self) -> std::time::SystemTime {
        self.source.clock.now()
    }

    /// For how long done events are remembered.
    pub(crate) fn retention(&self) -> std::time::Duration {
        self.core.timing.retention()
    }

    /// One that cannot be read is for the dead-letter hook.
    pub(crate) fn fetched_or_unreadable(&self, body: &Bytes) -> Delivery {
        let unreadable = |_| Delivery::unreadable(self.source.fetching(), body.clone());
        self.fetched(body.clone()).unwrap_or_else(unreadable)
    }
}

#[cfg(feature = "endpoints")]
impl<D: Dispatch, St> Processor<D, St> {
    pub(crate) fn event_types(&self) -> Vec<String> {
        self.dispatch.event_types()
    }

    pub(crate) fn takes(&self, event_type: &str) -> bool {
        self.dispatch.takes(event_type)
    }
}

impl<D, St> Processor<D, St> {
    pub(crate) fn new(core: Arc<Core<St>>, source: Source, dispatch: D) -> Self {
        Self { core, source, dispatch }
    }

    /// A delivery of an event that was fetched from the provider's API, in the form in which the provider delivers it. It
    /// is [marked](Delivery::is_fetched) as such, and has the identity of a delivery: whichever comes second is a
    /// duplicate. Whether it is genuine is for the caller to know.
    ///
    /// # Errors
    ///
    /// Where the envelope cannot be read; where the provider has an event's identity in headers or in what it signs, so
    /// that an event that was fetched could not be told from one that was delivered; and in a layer for
    /// [tenants](crate::Tenants).
    ///
    /// ```
    /// use tower_webhook::{EventRouter, Outcome, Secret, WebhookLayer, casapay, testing};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower_webhook::BoxError> {
    /// let processor = WebhookLayer::new(casapay::provider(), Secret::new("whsec_0123456789abcdef")?)?
    ///     .with_dispatch(EventRouter::new().on_type("invoice.*", async |_: serde_json::Value| ()))
    ///     .processor();
    ///
    /// let body = r#"{"id":"evt_1","type":"invoice.paid","created":1,"livemode":true,"data":{"object":{}}}"#;
    /// let fetched = processor.fetched(body)?;
    /// assert!(fetched.is_fetched() && fetched.secret_label().is_none());
    /// assert!(matches!(processor.process(fetched).await, Outcome::Done));
    ///
    /// let delivered = testing::delivery(&casapay::provider(), body)?;
    /// assert!(matches!(processor.process(delivered).await, Outcome::Duplicate));
    /// # Ok(())
    /// # }
    /// ```
    pub fn fetched(&self, body: impl Into<Bytes>) -> Result<Delivery, HandlerError> {
        if self.source.has_tenants {
            return Err(HandlerError::unreadable("nothing says which tenant a fetched event belongs to"));
        }
        let body = body.into();
        let mut by_digest = false;
        let digest = || {
            by_digest = true;
            [0; 32]
        };
        let event = self.source.provider.envelope().scan(&body, &HeaderMap::new(), digest);
        let event = event.map_err(|error| HandlerError::unreadable(error.to_string()))?;
        if by_digest || !event.identified {
            return Err(HandlerError::unreadable("the envelope has no id that a fetched event would share"));
        }
        Ok(Delivery::new(self.source.fetching(), event, body))
    }

    /// Claims events apart from the receiver, for workers behind a queue.
    ///
    /// A receiver whose dispatch stores deliveries in a queue ([`TakesAll`](crate::dispatch::TakesAll)) has done its
    /// part of an event once it is stored. A worker that claims in the same store, under the same scope, would find
    /// the event done and handle nothing; with a stage it has marks of its own. A job that catches up on missed events
    /// runs the receiver's own handlers, and wants its marks: no stage.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidName`] unless the name has 1 to 64 characters of `a-z`, `0-9`, `-`, `_` and `.`.
    ///
    /// ```
    /// use tower_webhook::{Delivery, EventRouter, Secret, WebhookLayer, caspay};
    ///
    /// let events = EventRouter::new().fallback(async |delivery: Delivery| drop(delivery));
    /// let worker = WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret")?)?
    ///     .with_dispatch(events)
    ///     .processor()
    ///     .with_stage("worker")?;
    /// # let _ = worker;
    /// # Ok::<(), tower_webhook::ConfigError>(())
    /// ```
    pub fn with_stage(mut self, name: &str) -> Result<Self, ConfigError> {
        check_name(name)?;
        Arc::make_mut(&mut self.core).stage = Some(name.into());
        Ok(self)
    }
}

impl<D: Dispatch + Sync, St: DedupStore> Processor<D, St> {
    /// Processes one delivery. An outcome that [`is_settled`](Outcome::is_settled) needs no further attempt;
    /// every other one does. A test event is `Unhandled` where the layer
    /// [requires live mode](crate::WebhookLayer::require_live_mode). What cannot be read, and another provider's
    /// delivery, goes to the dead-letter hook; without one it is `Failed`.
    ///
    /// The signature and the age of the event are the layer's affair: they are not looked at here.
    ///
    /// Cancel-safe in the sense that matters: dropped once the event is claimed, the rest moves into a task of
    /// its own.
    pub async fn process(&self, delivery: Delivery) -> Outcome {
        let live = if self.core.live_only { delivery.livemode() } else { Some(true) };
        let problem = if delivery.provider() != &*self.source.provider_name {
            Some("the delivery is another provider's")
        } else if !delivery.is_readable() {
            Some("the envelope could not be read")
        } else if live.is_none() {
            Some("the envelope has no livemode")
        } else {
            None
        };
        if let Some(problem) = problem {
            let error = HandlerError::unreadable(problem);
            return self.settle(delivery, |_| ready(Effect::Handled(error.into_outcome()))).await;
        }
        if live == Some(false) || !self.dispatch.takes(delivery.event_type()) {
            return Outcome::Unhandled;
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
        let Some(permit) = self.core.admit() else {
            return Settled::<()>::busy(RejectionReason::AtCapacity, CAPACITY_PAUSE).outcome;
        };
        let work = settle(Arc::clone(&self.core), permit, delivery.clone(), effect);
        self.core.detachable(work, delivery).await.outcome
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
        let key = DedupKey::new(&self.core.scope(delivery), delivery.event_type(), delivery.id());
        self.core.store.forget(&key).await
    }
}

impl<D: Clone, St> Clone for Processor<D, St> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), source: self.source.clone(), dispatch: self.dispatch.clone() }
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
