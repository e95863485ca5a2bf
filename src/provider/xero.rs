//! Xero: accounting.
//!
//! - Signature: `x-xero-signature: <base64>`, HMAC-SHA256 over the body. **No timestamp is signed**: a
//!   captured request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline and retries: undocumented here. A wrong signature must be answered 401, an empty body is
//!   required: both are the defaults.
//! - Event: a body holds any number of events, also none (the "intent to receive"), without ids. One delivery
//!   of the type `xero.events`, the whole body, told from others by its digest.

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, SignatureScheme};

/// The Xero preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("xero")
            .signature(SignatureScheme::hmac_sha256("x-xero-signature").with_encoding(Encoding::Base64))
            .envelope(Envelope::identified_by_digest().opaque("xero.events"))
            .documentation(
                "https://developer.xero.com/documentation/guides/webhooks/configuring-your-server/",
            ),
    )
}
