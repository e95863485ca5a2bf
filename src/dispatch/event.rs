//! The trait that ties a payload type to an event type.

use serde::de::DeserializeOwned;

/// A payload that belongs to exactly one event type.
///
/// The type parsed is the provider's *payload* (for CasPay what stands under `data`, for CasaPay under
/// `data.object`), not the envelope around it; the envelope is on the [`Delivery`](crate::Delivery).
///
/// ```
/// use serde::Deserialize;
/// use tower_webhook::Event;
///
/// #[derive(Deserialize)]
/// struct OrderSubmitted { order_id: String }
///
/// impl Event for OrderSubmitted {
///     const TYPE: &'static str = "order.submitted";
/// }
///
/// assert_eq!(OrderSubmitted::TYPE, "order.submitted");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a webhook event",
    label = "no `Event` impl says which event type this is",
    note = "implement `Event` with its `TYPE`, or register the handler with `on_type(\"...\", handler)`"
)]
pub trait Event: DeserializeOwned + Send + 'static {
    /// The event type exactly as the provider sends it, such as `payment.completed`.
    const TYPE: &'static str;
}
