//! Diddo: shopping.
//!
//! - Signature: requests are signed, but **neither header nor algorithm is documented**. They are yours to say, from what
//!   Diddo tells you or from a request whose signature you can compute: see [`docs::providers`](crate::docs::providers).
//! - Answer deadline: 20 s; the layer answers after 16 at the latest. Retries: an event that is not accepted by then may
//!   be delivered again, for how long is not said.
//! - Event: one in each request, in JSON. **Where it keeps its id and type is undocumented**, and yours to say too; so is
//!   the shape of payloads, for which there are no typed events.

use std::time::Duration;

use super::Provider;
use crate::envelope::Envelope;
use crate::error::ConfigError;
use crate::signature::SignatureScheme;

/// The documented event types.
pub const EVENT_TYPES: &[&str] = &[
    "checkout.initialized",
    "checkout.in_progress",
    "checkout.succeeded",
    "checkout.failed",
    "checkout.cancelled",
    "order.submitted",
];

/// Diddo, as far as it is documented: everything but the signature and the envelope.
///
/// # Errors
///
/// A [`ConfigError`] that names what is wrong with `scheme` or `envelope`.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::{Envelope, SignatureScheme, diddo, testing};
///
/// # fn main() -> Result<(), tower_webhook::BoxError> {
/// // Invented: take the header, the algorithm and the paths from what you have from Diddo.
/// let provider = diddo::provider(
///     SignatureScheme::hmac_sha256("x-invented-signature"),
///     Envelope::json("/id").with_event_type("/type").with_payload("/data"),
/// )?;
///
/// assert_eq!(provider.answer_deadline(), Some(Duration::from_secs(20)));
/// assert!(provider.event_types().any(|event_type| event_type == "order.submitted"));
/// let delivery = testing::delivery(&provider, r#"{"id":"7","type":"order.submitted","data":{}}"#)?;
/// assert_eq!(delivery.event_type(), "order.submitted");
/// # Ok(())
/// # }
/// ```
pub fn provider(scheme: SignatureScheme, envelope: Envelope) -> Result<Provider, ConfigError> {
    Provider::builder("diddo")
        .signature(scheme)
        .envelope(envelope)
        .answer_deadline(Duration::from_secs(20))
        .event_types(EVENT_TYPES.iter().copied())
        .build()
}
