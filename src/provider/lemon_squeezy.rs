//! Lemon Squeezy: payments for software.
//!
//! - Signature: `X-Signature: <hex>`, HMAC-SHA256 over the body. **No timestamp is signed**: a captured
//!   request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline: no figure, with exactly 200. Retries: 3, within some 155 s.
//! - Event: there is no id (`/data/id` is the resource's, and returns with its next change); the digest of
//!   the body identifies an event. The type is in the body, at `/meta/event_name`.

use std::time::Duration;

use super::{Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Lemon Squeezy preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("lemon-squeezy")
            .signature(SignatureScheme::hmac_sha256("x-signature"))
            .envelope(
                Envelope::identified_by_digest().with_event_type("/meta/event_name").with_payload("/data"),
            )
            .retries(Retries::Documented { horizon: Duration::from_secs(155), resigned: false })
            .documentation("https://docs.lemonsqueezy.com/help/webhooks/signing-requests"),
    )
}
