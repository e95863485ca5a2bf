//! Modern Treasury: payments.
//!
//! - Signature: `X-Signature: <hex>`, HMAC-SHA256 over the body. **No timestamp is signed**: a captured
//!   request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline and retries: undocumented here.
//! - Event: the id is in the header `x-event-id`, which is **not signed**; the digest of the body identifies
//!   an event. The type at `/event` is a short word such as `created`; of which resource is in the header
//!   `x-topic`, which is not signed either.

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Modern Treasury preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("modern-treasury")
            .signature(SignatureScheme::hmac_sha256("x-signature"))
            .envelope(
                Envelope::identified_by_digest()
                    .with_unsigned_id_header("x-event-id")
                    .with_event_type("/event")
                    .with_payload("/data"),
            )
            .documentation("https://docs.moderntreasury.com/platform/reference/webhooks"),
    )
}
