//! GoCardless: bank payments.
//!
//! - Signature: `Webhook-Signature: <hex>`, HMAC-SHA256 over the body. **No timestamp is signed**: a captured
//!   request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline: 10 s. Retries: up to 8, for how long is not said; the whole body is sent again. The
//!   documentation asks for 498 instead of 401: see [`Answers`](crate::Answers).
//! - Event: a body holds up to 250 events, each with an id at `/events/<n>/id`. One delivery of the type
//!   `gocardless.events`, the whole body, told from others by its digest; use the ids to make the effect of
//!   each event idempotent.

use std::time::Duration;

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The GoCardless preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("gocardless")
            .signature(SignatureScheme::hmac_sha256("webhook-signature"))
            .envelope(Envelope::identified_by_digest().opaque("gocardless.events"))
            .answer_deadline(Duration::from_secs(10))
            .documentation("https://developer.gocardless.com/api-reference/#appendix-webhooks"),
    )
}
