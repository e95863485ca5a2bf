//! Outpost, in its default mode; in its Standard Webhooks mode take
//! [`standard_webhooks`](super::standard_webhooks).
//!
//! - Signature: `x-outpost-signature: v0=<hex>,<hex>..`, HMAC-SHA256 over the body. **No timestamp is
//!   signed**: a captured request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline and retries: whoever runs it decides.
//! - Event: the body is the publisher's. Id and topic are in headers, which are **not signed**, and may be
//!   renamed or switched off: then describe a provider of your own.

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::{List, SignatureScheme};

/// The Outpost preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("outpost")
            .signature(
                SignatureScheme::hmac_sha256("x-outpost-signature")
                    .with_grammar(List::new().with_prefix("v0=")),
            )
            .envelope(
                Envelope::identified_by_digest()
                    .with_unsigned_id_header("x-outpost-event-id")
                    .with_event_type_header("x-outpost-topic"),
            )
            .documentation("https://outpost.hookdeck.com/docs/destinations/webhook"),
    )
}
