//! Handlers as plain async functions.

use std::future::Future;

/// An async function that takes an event and up to four further arguments.
///
/// Implemented for every `Fn(E, A1, ..) -> impl Future` and for nothing else: the trait says only what a handler
/// can be called with. That `E` can be read, that the arguments can be made from a delivery and that the output
/// means something is asked where a handler is registered, by [`EventRouter::on`](crate::EventRouter::on), so
/// that each mistake gets an error of its own.
///
/// ```
/// use tower_webhook::caspay::events::{PaymentCompleted, PaymentFailed};
/// use tower_webhook::{Delivery, EventRouter, HandlerError, Outcome, State};
///
/// async fn on_paid(event: PaymentCompleted, State(shop): State<String>) -> Result<(), HandlerError> {
///     if event.payment.currency == "CSPR" { Ok(()) } else { Err(HandlerError::permanent(shop)) }
/// }
/// async fn on_failed(event: PaymentFailed, delivery: Delivery) -> Outcome {
///     println!("{}: {}", delivery.id(), event.payment.id);
///     Outcome::Done
/// }
///
/// let events = EventRouter::new().on(on_paid).on(on_failed).with_state("a shop".to_owned());
/// assert_eq!(events.event_types(), ["payment.completed", "payment.failed"]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a webhook handler",
    label = "not an async function of an event and up to four further arguments",
    note = "a handler is `async fn(event: E, ..)`; its first argument is the event"
)]
pub trait Handler<E, Args>: Send + Sync + 'static {
    /// What the function returns.
    type Output;
    /// The future that it returns.
    type Future: Future<Output = Self::Output>;

    /// Calls the function.
    fn call(&self, event: E, args: Args) -> Self::Future;
}

macro_rules! impl_handler {
    ($($arg:ident),*) => {
        impl<F, Fut, E, $($arg),*> Handler<E, ($($arg,)*)> for F
        where
            F: Fn(E, $($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future,
        {
            type Output = Fut::Output;
            type Future = Fut;

            #[allow(non_snake_case, reason = "the type parameters name the arguments")]
            fn call(&self, event: E, ($($arg,)*): ($($arg,)*)) -> Fut {
                self(event, $($arg),*)
            }
        }
    };
}

impl_handler!();
impl_handler!(A1);
impl_handler!(A1, A2);
impl_handler!(A1, A2, A3);
impl_handler!(A1, A2, A3, A4);
