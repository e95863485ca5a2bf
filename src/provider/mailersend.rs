//! MailerSend: mail.
//!
//! - Signature: `Signature: <hex>`, HMAC-SHA256 over the body. **No timestamp is signed**: a captured request
//!   stays valid, and the retention of done marks is the replay window.
//! - Answer deadline and retries: undocumented here; it pauses after 20 failures in 24 h.
//! - Event: there is no id that every type has; the digest of the body identifies an event.

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The MailerSend preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("mailersend")
            .signature(SignatureScheme::hmac_sha256("signature"))
            .envelope(Envelope::identified_by_digest().with_payload("/data"))
            .documentation("https://developers.mailersend.com/api/v1/webhooks.html"),
    )
}
