//! Razorpay: payments.
//!
//! - Signature: `X-Razorpay-Signature: <hex>`, HMAC-SHA256 over the body. **No timestamp is signed**: a
//!   captured request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline: 5 s. Retries: for 24 h, then the webhook is disabled.
//! - Event: the id is in the header `x-razorpay-event-id`, which is **not signed**; the digest of the body
//!   identifies an event. The type is at `/event`.

use std::time::Duration;

use super::{DAY, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Razorpay preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("razorpay")
            .signature(SignatureScheme::hmac_sha256("x-razorpay-signature"))
            .envelope(
                Envelope::identified_by_digest()
                    .with_unsigned_id_header("x-razorpay-event-id")
                    .with_event_type("/event")
                    .with_payload("/payload")
                    .with_created("/created_at"),
            )
            .answer_deadline(Duration::from_secs(5))
            .retries(Retries::Documented { horizon: DAY, resigned: false })
            .documentation("https://razorpay.com/docs/webhooks/validate-test/"),
    )
}
