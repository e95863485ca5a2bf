//! One handler an event type.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde::de::DeserializeOwned;
use tower_layer::Layer;
use tower_service::Service;

use super::event::Event;
use super::extract::FromDelivery;
use super::handler::Handler;
use super::outcome::{HandlerError, IntoOutcome, Outcome};
use super::service::{Dispatch, Layered, Routes};
use crate::delivery::Delivery;

type BoxedOutcome = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Hands each event to the handler that is registered for its type.
///
/// An exact type comes before a pattern, a longer pattern before a shorter one, and any of them before the
/// fallback. Without a fallback an event that nobody takes goes on to the inner service, or is acknowledged
/// unhandled.
///
/// A router is a `tower::Service<Delivery, Response = Outcome>` and cheap to clone.
///
/// ```
/// use serde::Deserialize;
/// use tower_webhook::{Delivery, Event, EventRouter};
///
/// #[derive(Deserialize)]
/// struct OrderSubmitted { order_id: String }
/// impl Event for OrderSubmitted { const TYPE: &'static str = "order.submitted"; }
///
/// async fn on_order(order: OrderSubmitted) { println!("{}", order.order_id); }
/// async fn on_checkout(payload: serde_json::Value, delivery: Delivery) {
///     println!("{} {payload}", delivery.event_type());
/// }
/// async fn on_other(delivery: Delivery) { println!("{delivery:?}"); }
///
/// let events: EventRouter = EventRouter::new()
///     .on(on_order)
///     .on_type("checkout.*", on_checkout)
///     .fallback(on_other);
/// assert_eq!(events.event_types(), ["checkout.*", "order.submitted"]);
/// ```
#[must_use]
pub struct EventRouter<S = ()> {
    table: Arc<Table<S>>,
}

struct Table<S> {
    exact: BTreeMap<String, Route<S>>,
    /// Prefixes with their full stop, longest first.
    prefixes: Vec<(String, Route<S>)>,
    fallback: Option<Route<S>>,
}

struct Route<S> {
    handler: Arc<dyn ErasedHandler<S>>,
    place: &'static Location<'static>,
}

impl<S> Clone for EventRouter<S> {
    fn clone(&self) -> Self {
        Self { table: Arc::clone(&self.table) }
    }
}

impl<S> Clone for Table<S> {
    fn clone(&self) -> Self {
        Self { exact: self.exact.clone(), prefixes: self.prefixes.clone(), fallback: self.fallback.clone() }
    }
}

impl<S> Clone for Route<S> {
    fn clone(&self) -> Self {
        Self { handler: Arc::clone(&self.handler), place: self.place }
    }
}

impl<S> Default for EventRouter<S> {
    fn default() -> Self {
        let table = Table { exact: BTreeMap::new(), prefixes: Vec::new(), fallback: None };
        Self { table: Arc::new(table) }
    }
}

impl<S> EventRouter<S> {
    /// A router without handlers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The types that are registered, patterns as `prefix.*`, sorted. It is what to subscribe an endpoint to.
    #[must_use]
    pub fn event_types(&self) -> Vec<String> {
        self.table.event_types()
    }
}

impl<S: Send + Sync + 'static> EventRouter<S> {
    /// Registers `handler` for the type of its first argument.
    ///
    /// # Panics
    ///
    /// Where the type has a handler already. The message names both places.
    #[track_caller]
    pub fn on<E, Args>(
        self,
        handler: impl Handler<E, Args, Future: Send + 'static, Output: IntoOutcome>,
    ) -> Self
    where
        E: Event,
        Args: FromDelivery<S> + 'static,
    {
        self.on_type(E::TYPE, handler)
    }

    /// Registers `handler` for an exact type, or for a family: `verification_session.*` takes every type that
    /// begins with `verification_session.`. The first argument is any type that the payload deserialises into;
    /// `serde_json::Value` takes all.
    ///
    /// # Panics
    ///
    /// Where the type has a handler already, and where `pattern` is empty or has a `*` that is not a final
    /// `.*`.
    #[track_caller]
    pub fn on_type<E, Args>(
        self,
        pattern: &str,
        handler: impl Handler<E, Args, Future: Send + 'static, Output: IntoOutcome>,
    ) -> Self
    where
        E: DeserializeOwned + Send + 'static,
        Args: FromDelivery<S> + 'static,
    {
        let place = Location::caller();
        let route = Route { handler: Arc::new(Typed::new(handler, Delivery::payload_as)), place };
        self.insert(pattern, route, place)
    }

    /// Registers a handler for every type that no other takes. Its first argument is the [`Delivery`]. Default:
    /// none, so that an event that nobody takes goes on to the inner service, or is acknowledged without a claim.
    ///
    /// # Panics
    ///
    /// Where there is a fallback already.
    #[track_caller]
    pub fn fallback<Args>(
        mut self,
        handler: impl Handler<Delivery, Args, Future: Send + 'static, Output: IntoOutcome>,
    ) -> Self
    where
        Args: FromDelivery<S> + 'static,
    {
        let place = Location::caller();
        let handler = Arc::new(Typed::new(handler, |delivery: &Delivery| Ok(delivery.clone())));
        let table = Arc::make_mut(&mut self.table);
        if let Some(first) = table.fallback.replace(Route { handler, place }) {
            panic!("a second fallback at {place}: there is one at {}", first.place);
        }
        self
    }

    /// Adds the handlers of `other`.
    ///
    /// ```
    /// use tower_webhook::EventRouter;
    ///
    /// let payments = EventRouter::<()>::new().on_type("payment.*", async |_: serde_json::Value| ());
    /// let refunds = EventRouter::<()>::new().on_type("charge.refunded", async |_: serde_json::Value| ());
    /// assert_eq!(payments.merge(refunds).event_types(), ["charge.refunded", "payment.*"]);
    /// ```
    ///
    /// # Panics
    ///
    /// Where both have a handler for one type, or both a fallback.
    #[track_caller]
    pub fn merge(mut self, other: Self) -> Self {
        let other = Arc::unwrap_or_clone(other.table);
        let exact = other.exact.into_iter();
        let prefixes = other.prefixes.into_iter().map(|(prefix, route)| (format!("{prefix}*"), route));
        for (pattern, route) in exact.chain(prefixes) {
            let place = route.place;
            self = self.insert(&pattern, route, place);
        }
        let table = Arc::make_mut(&mut self.table);
        match (&table.fallback, other.fallback) {
            (Some(first), Some(second)) => {
                panic!("a second fallback at {}: there is one at {}", second.place, first.place)
            }
            (None, Some(fallback)) => table.fallback = Some(fallback),
            (_, None) => {}
        }
        self
    }

    /// Gives the handlers their state. Only a router whose state is given can be mounted.
    pub fn with_state(self, state: S) -> EventRouter {
        let state = Arc::new(state);
        let bind = |route: Route<S>| {
            let handler = WithState { handler: route.handler, state: Arc::clone(&state) };
            Route { handler: Arc::new(handler) as Arc<dyn ErasedHandler<()>>, place: route.place }
        };
        let table = Arc::unwrap_or_clone(self.table);
        EventRouter {
            table: Arc::new(Table {
                exact: table.exact.into_iter().map(|(name, route)| (name, bind(route))).collect(),
                prefixes: table.prefixes.into_iter().map(|(name, route)| (name, bind(route))).collect(),
                fallback: table.fallback.map(bind),
            }),
        }
    }

    fn insert(mut self, pattern: &str, route: Route<S>, place: &Location<'_>) -> Self {
        let table = Arc::make_mut(&mut self.table);
        let literal = pattern.strip_suffix(".*").unwrap_or(pattern);
        assert!(
            !literal.is_empty() && !literal.contains('*'),
            "`{pattern}` at {place} is no event type: expected an exact type or `prefix.*`"
        );
        let taken = if let Some(prefix) = pattern.strip_suffix('*') {
            let taken = table.prefixes.iter().find(|(name, _)| name == prefix).map(|(_, first)| first.place);
            table.prefixes.push((prefix.to_owned(), route));
            table.prefixes.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
            taken
        } else {
            table.exact.insert(pattern.to_owned(), route).map(|first| first.place)
        };
        if let Some(first) = taken {
            panic!("a second handler for `{pattern}` at {place}: there is one at {first}");
        }
        self
    }
}

impl EventRouter {
    /// Wraps the router in tower middleware: a timeout, a concurrency limit, load shedding.
    ///
    /// An error of the middleware is answered 503 and retried by the sender.
    ///
    /// ```
    /// use tower::limit::ConcurrencyLimitLayer;
    /// use tower_webhook::EventRouter;
    ///
    /// let events = EventRouter::new()
    ///     .on_type("checkout.*", async |payload: serde_json::Value| drop(payload))
    ///     .layer(ConcurrencyLimitLayer::new(10));
    /// # drop(events);
    /// ```
    pub fn layer<L: Layer<Self>>(self, layer: L) -> Layered<L::Service> {
        Layered { routes: Arc::clone(&self.table) as Arc<dyn Routes>, service: layer.layer(self) }
    }
}

impl<S> Table<S> {
    fn route(&self, event_type: &str) -> Option<&Route<S>> {
        let by_prefix = || {
            let route = self.prefixes.iter().find(|(prefix, _)| {
                event_type.strip_prefix(prefix.as_str()).is_some_and(|rest| !rest.is_empty())
            });
            route.map(|(_, route)| route)
        };
        self.exact.get(event_type).or_else(by_prefix).or(self.fallback.as_ref())
    }

    fn event_types(&self) -> Vec<String> {
        let prefixes = self.prefixes.iter().map(|(prefix, _)| format!("{prefix}*"));
        let mut types: Vec<_> = self.exact.keys().cloned().chain(prefixes).collect();
        types.sort();
        types
    }
}

impl<S> Routes for Table<S> {
    fn takes(&self, event_type: &str) -> bool {
        self.route(event_type).is_some()
    }

    fn event_types(&self) -> Vec<String> {
        self.event_types()
    }
}

impl Service<Delivery> for EventRouter {
    type Response = Outcome;
    type Error = Infallible;
    type Future = RouterFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, delivery: Delivery) -> RouterFuture {
        let handler = self.table.route(delivery.event_type()).map(|route| Arc::clone(&route.handler));
        RouterFuture { state: handler.map_or(State::Unhandled, |handler| State::Pending(handler, delivery)) }
    }
}

impl Dispatch for EventRouter {
    fn takes(&self, event_type: &str) -> bool {
        self.table.route(event_type).is_some()
    }

    fn event_types(&self) -> Vec<String> {
        self.table.event_types()
    }
}

impl<S> fmt::Debug for EventRouter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventRouter")
            .field("event_types", &self.table.event_types())
            .field("fallback", &self.table.fallback.is_some())
            .finish_non_exhaustive()
    }
}

/// The future of an [`EventRouter`]. Nothing of the handler runs, its payload is not even parsed, before it is
/// polled.
#[must_use]
pub struct RouterFuture {
    state: State,
}

enum State {
    Unhandled,
    Pending(Arc<dyn ErasedHandler<()>>, Delivery),
    Running(BoxedOutcome),
}

impl Future for RouterFuture {
    type Output = Result<Outcome, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Pending(handler, delivery) = &self.state {
            delivery.mark_started();
            match handler.start(delivery, &()) {
                Ok(running) => self.state = State::Running(running),
                Err(error) => return Poll::Ready(Ok(error.into_outcome())),
            }
        }
        match &mut self.state {
            State::Running(running) => running.as_mut().poll(cx).map(Ok),
            State::Unhandled | State::Pending(..) => Poll::Ready(Ok(Outcome::Unhandled)),
        }
    }
}

impl fmt::Debug for RouterFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterFuture").finish_non_exhaustive()
    }
}

/// A handler whose event, arguments and output types are forgotten.
trait ErasedHandler<S>: Send + Sync {
    fn start(&self, delivery: &Delivery, state: &S) -> Result<BoxedOutcome, HandlerError>;
}

/// A handler and how its event is read.
struct Typed<H, E, Args> {
    handler: H,
    read: fn(&Delivery) -> Result<E, HandlerError>,
    args: std::marker::PhantomData<fn(Args)>,
}

impl<H, E, Args> Typed<H, E, Args> {
    fn new(handler: H, read: fn(&Delivery) -> Result<E, HandlerError>) -> Self {
        Self { handler, read, args: std::marker::PhantomData }
    }
}

impl<S, H, E, Args> ErasedHandler<S> for Typed<H, E, Args>
where
    H: Handler<E, Args, Future: Send + 'static, Output: IntoOutcome>,
    E: 'static,
    Args: FromDelivery<S> + 'static,
{
    fn start(&self, delivery: &Delivery, state: &S) -> Result<BoxedOutcome, HandlerError> {
        // A type whose `Deserialize` panics on this payload would panic on every retry.
        let event = catch_unwind(AssertUnwindSafe(|| (self.read)(delivery))).unwrap_or_else(|_| {
            Err(HandlerError::unreadable("the payload's type panicked while reading it"))
        })?;
        let args = Args::from_delivery(delivery, state)?;
        let running = self.handler.call(event, args);
        Ok(Box::pin(async move { running.await.into_outcome() }))
    }
}

struct WithState<S> {
    handler: Arc<dyn ErasedHandler<S>>,
    state: Arc<S>,
}

impl<S: Send + Sync> ErasedHandler<()> for WithState<S> {
    fn start(&self, delivery: &Delivery, _state: &()) -> Result<BoxedOutcome, HandlerError> {
        self.handler.start(delivery, &self.state)
    }
}
