//! The dispatch as the layer sees it: a service that says beforehand which types it takes.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use crate::delivery::Delivery;
use crate::dispatch::Outcome;
use crate::error::BoxError;

/// A `tower::Service<Delivery, Response = Outcome>` that says which event types it takes.
///
/// The layer asks [`takes`](Self::takes) before it claims anything: what the dispatch does not take goes to the
/// inner service, or is acknowledged unhandled. It then waits until the service is ready, claims the event, and
/// calls. An error of the service (overloaded, timed out) is answered 503; the claim is given back unless a
/// handler had begun.
///
/// Implemented by [`EventRouter`](crate::EventRouter), by a router wrapped in tower middleware
/// ([`EventRouter::layer`](crate::EventRouter::layer)), and for any service by [`TakesAll`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the dispatch of a webhook layer",
    label = "not a dispatch",
    note = "an `EventRouter<S>` becomes one when it is given its state: `.with_state(..)`",
    note = "a `Service<Delivery, Response = Outcome>` becomes one in `TakesAll::new(..)`"
)]
pub trait Dispatch:
    Service<Delivery, Response = Outcome, Error: Into<BoxError>, Future: Future + Send + 'static>
    + Clone
    + Send
    + 'static
{
    /// Whether events of this type are handled here.
    fn takes(&self, event_type: &str) -> bool;

    /// The types that are handled, families as `prefix.*`, sorted: what to subscribe an endpoint to.
    fn event_types(&self) -> Vec<String>;
}

/// No dispatch: every verified event goes to the inner service.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NoDispatch;

impl NoDispatch {
    pub(crate) fn new() -> Self {
        Self
    }
}

impl Service<Delivery> for NoDispatch {
    type Response = Outcome;
    type Error = Infallible;
    type Future = Ready<Result<Outcome, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _delivery: Delivery) -> Self::Future {
        ready(Ok(Outcome::Unhandled))
    }
}

impl Dispatch for NoDispatch {
    fn takes(&self, _event_type: &str) -> bool {
        false
    }

    fn event_types(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A router wrapped in tower middleware. Made by [`EventRouter::layer`](crate::EventRouter::layer).
#[derive(Clone)]
pub struct Layered<T> {
    pub(super) service: T,
    pub(super) routes: Arc<dyn Routes>,
}

/// Which types a router takes, without its handlers' types.
pub(super) trait Routes: Send + Sync {
    fn takes(&self, event_type: &str) -> bool;
    fn event_types(&self) -> Vec<String>;
}

impl<T> fmt::Debug for Layered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layered").field("event_types", &self.routes.event_types()).finish_non_exhaustive()
    }
}

impl<T: Service<Delivery>> Service<Delivery> for Layered<T> {
    type Response = T::Response;
    type Error = T::Error;
    type Future = T::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, delivery: Delivery) -> T::Future {
        self.service.call(delivery)
    }
}

impl<T> Dispatch for Layered<T>
where
    T: Service<Delivery, Response = Outcome, Error: Into<BoxError>, Future: Send + 'static>,
    T: Clone + Send + 'static,
{
    fn takes(&self, event_type: &str) -> bool {
        self.routes.takes(event_type)
    }

    fn event_types(&self) -> Vec<String> {
        self.routes.event_types()
    }
}

/// Makes any `Service<Delivery, Response = Outcome>` the dispatch for every type: a queue that stores the
/// delivery, for instance, for workers that run the handlers elsewhere. Workers that share the receiver's store need a
/// stage of their own: see [`Processor::with_stage`](crate::Processor::with_stage).
///
/// Where the service knows that it failed, it returns `Ok(Outcome::Failed(..))`: the claim is given back, and the next
/// attempt runs. Its `Err` is for middleware that gave up, a timeout for instance: work may be going on, so that the
/// claim is left to its lease.
///
/// ```
/// use tower_webhook::dispatch::{Dispatch, TakesAll};
/// use tower_webhook::{Delivery, Outcome};
///
/// let enqueue = tower::service_fn(|delivery: Delivery| async move {
///     // store it durably, then:
///     let _ = serde_json::to_vec(&delivery)?;
///     Ok::<_, serde_json::Error>(Outcome::Done)
/// });
/// assert!(TakesAll::new(enqueue).takes("anything"));
/// ```
#[derive(Clone, Debug)]
pub struct TakesAll<T> {
    service: T,
}

impl<T> TakesAll<T> {
    /// Wraps `service`.
    pub fn new(service: T) -> Self {
        Self { service }
    }
}

impl<T: Service<Delivery>> Service<Delivery> for TakesAll<T> {
    type Response = T::Response;
    type Error = T::Error;
    type Future = T::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, delivery: Delivery) -> T::Future {
        // What the service does is not known: it may go on after its future is dropped.
        delivery.mark_started();
        self.service.call(delivery)
    }
}

impl<T> Dispatch for TakesAll<T>
where
    T: Service<Delivery, Response = Outcome, Error: Into<BoxError>, Future: Send + 'static>,
    T: Clone + Send + 'static,
{
    fn takes(&self, _event_type: &str) -> bool {
        true
    }

    fn event_types(&self) -> Vec<String> {
        Vec::new()
    }
}
