//! Outpost, in its default mode; in its Standard Webhooks mode take
//! [`standard_webhooks`](super::standard_webhooks).
//!
//! - Signature: `x-outpost-signature: v0=<hex>,<hex>..`, HMAC-SHA256 over the body. **No timestamp is
//!   signed**: a captured request stays valid, and runs again.
//! - Answer deadline and retries: whoever runs it decides.
//! - Event: the body is the publisher's, and may repeat. Id and topic are in headers, which are **not signed**,
//!   and may be renamed or switched off: then describe a provider of your own. **Nothing that is signed
//!   identifies an event**, and a retry runs again, unless you
//!   [trust](Provider::identify_by_unsigned_header) the id.

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
                Envelope::unidentified()
                    .with_unsigned_id_header("x-outpost-event-id")
                    .with_event_type_header("x-outpost-topic"),
            )
            .documentation("https://outpost.hookdeck.com/docs/destinations/webhook"),
    )
}
