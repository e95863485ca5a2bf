//! Onfido: identity checks.
//!
//! - Signature: `X-SHA2-Signature: <hex>`, HMAC-SHA256 over the body. **No timestamp is signed**: a captured
//!   request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline and retries: undocumented here.
//! - Event: there is no id; the digest of the body identifies an event. The type is at `/payload/action`.

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Onfido preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("onfido")
            .signature(SignatureScheme::hmac_sha256("x-sha2-signature"))
            .envelope(
                Envelope::identified_by_digest().with_event_type("/payload/action").with_payload("/payload"),
            )
            .documentation("https://documentation.onfido.com/api/latest/#webhooks"),
    )
}
