//! WebSub, from hubs that sign with SHA-256.
//!
//! - Signature: `X-Hub-Signature: sha256=<hex>`, HMAC-SHA256 over the body. **No timestamp is signed**: a
//!   captured request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline and retries: the hub's.
//! - Event: the body is the topic's content, of any type. It is not read: one delivery of the type
//!   `websub.events`, told from others by its digest. Content that returns to what it was counts as a
//!   repetition, within the retention.

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The WebSub preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("websub")
            .signature(SignatureScheme::hmac_sha256("x-hub-signature").with_prefix("sha256="))
            .envelope(Envelope::identified_by_digest().opaque("websub.events"))
            .documentation("https://www.w3.org/TR/websub/"),
    )
}
