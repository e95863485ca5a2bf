//! What a handler may take beside the event.

use crate::delivery::Delivery;
use crate::dispatch::HandlerError;

/// A further argument of a handler, made from the delivery and the router's state.
///
/// Implemented for [`Delivery`], for [`State<T>`](State), and with the feature `axum` for axum's `State<T>`.
///
/// ```
/// use tower_webhook::{Delivery, FromDelivery, HandlerError};
///
/// struct Attempt(u32);
///
/// impl<S> FromDelivery<S> for Attempt {
///     fn from_delivery(delivery: &Delivery, _state: &S) -> Result<Self, HandlerError> {
///         let header = delivery.headers().get("x-attempt").and_then(|value| value.to_str().ok());
///         Ok(Self(header.unwrap_or("1").parse()?))
///     }
/// }
/// # let delivery = tower_webhook::testing::delivery(&tower_webhook::caspay::provider(),
/// #     r#"{"id":"evt_1","type":"payment.completed","data":{}}"#).unwrap();
/// assert_eq!(Attempt::from_delivery(&delivery, &()).unwrap().0, 1);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a webhook handler",
    label = "this handler takes a `{Self}`, which no `FromDelivery` impl can make",
    note = "after the event come `Delivery`, `State<T>` with a part `T` of the router's state, or your own `FromDelivery`"
)]
pub trait FromDelivery<S>: Sized {
    /// Makes the argument.
    ///
    /// # Errors
    ///
    /// What the handler itself could return; the handler is not called.
    fn from_delivery(delivery: &Delivery, state: &S) -> Result<Self, HandlerError>;
}

impl<S> FromDelivery<S> for Delivery {
    fn from_delivery(delivery: &Delivery, _state: &S) -> Result<Self, HandlerError> {
        Ok(delivery.clone())
    }
}

/// The router's state, or a part of it: see [`EventRouter::with_state`](crate::EventRouter::with_state).
///
/// ```
/// use tower_webhook::{EventRouter, State, caspay};
///
/// #[derive(Clone)]
/// struct Db;
///
/// async fn on_paid(event: caspay::events::PaymentCompleted, State(db): State<Db>) {
///     let (_, _) = (event.payment.id, db);
/// }
///
/// let events = EventRouter::new().on(on_paid).with_state(Db);
/// assert_eq!(events.event_types(), ["payment.completed"]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "destructured in the arguments of handlers")]
pub struct State<T>(pub T);

impl<S, T: FromRef<S>> FromDelivery<S> for State<T> {
    fn from_delivery(_delivery: &Delivery, state: &S) -> Result<Self, HandlerError> {
        Ok(Self(T::from_ref(state)))
    }
}

#[cfg(feature = "axum")]
impl<S, T: axum::extract::FromRef<S>> FromDelivery<S> for axum::extract::State<T> {
    fn from_delivery(_delivery: &Delivery, state: &S) -> Result<Self, HandlerError> {
        Ok(Self(T::from_ref(state)))
    }
}

/// A part of a router's state. Every `Clone` type is part of itself; implement it for the parts of a struct.
///
/// ```
/// use tower_webhook::FromRef;
///
/// #[derive(Clone)]
/// struct Db;
/// struct App { db: Db }
///
/// impl FromRef<App> for Db {
///     fn from_ref(app: &App) -> Self {
///         app.db.clone()
///     }
/// }
/// # let _ = Db::from_ref(&App { db: Db });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not part of the router's state `{S}`",
    label = "not part of `{S}`",
    note = "pass it to `with_state`, or implement `FromRef<{S}>` for it"
)]
pub trait FromRef<S> {
    /// Takes the part out.
    fn from_ref(state: &S) -> Self;
}

impl<T: Clone> FromRef<T> for T {
    fn from_ref(state: &T) -> Self {
        state.clone()
    }
}

macro_rules! impl_from_delivery {
    ($($arg:ident),*) => {
        impl<S, $($arg: FromDelivery<S>),*> FromDelivery<S> for ($($arg,)*) {
            #[allow(unused_variables, reason = "no argument, no use")]
            fn from_delivery(delivery: &Delivery, state: &S) -> Result<Self, HandlerError> {
                Ok(($($arg::from_delivery(delivery, state)?,)*))
            }
        }
    };
}

impl_from_delivery!();
impl_from_delivery!(A1);
impl_from_delivery!(A1, A2);
impl_from_delivery!(A1, A2, A3);
impl_from_delivery!(A1, A2, A3, A4);
