//! Gogs.
//!
//! - Signature: `X-Gogs-Signature: <hex>`, HMAC-SHA256 over the body. **No timestamp is signed**: a captured
//!   request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline: whoever runs it decides. Retries: undocumented here.
//! - Event: id and type are in headers, which are **not signed**: whoever captured a request can send it
//!   under another id or type. The digest of the body identifies it.

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Gogs preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("gogs")
            .signature(SignatureScheme::hmac_sha256("x-gogs-signature"))
            .envelope(
                Envelope::identified_by_digest()
                    .with_unsigned_id_header("x-gogs-delivery")
                    .with_event_type_header("x-gogs-event"),
            )
            .documentation("https://gogs.io/docs/features/webhook"),
    )
}
