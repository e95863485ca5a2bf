//! Plivo: messages and calls, signature v2. **The body is not signed**: whoever captured a request can send
//! another with any body.
//!
//! - Signature: `X-Plivo-Signature-V2: <base64>`, HMAC-SHA256 over the URL without its query and the header
//!   `x-plivo-signature-v2-nonce`. [`Provider::with_public_url`] must name it, letter for letter as it is
//!   registered. No timestamp is signed.
//! - Answer deadline and retries: undocumented here.
//! - Event: form parameters, which are not read: one delivery of the type `plivo.events`. The nonce, which is
//!   signed, identifies it, so that a captured request cannot be used again within the retention; a retry has
//!   a nonce of its own and runs again. Ask the API before money moves.

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, Part, SignatureScheme};

/// The Plivo preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("plivo")
            .signature(
                SignatureScheme::hmac_sha256("x-plivo-signature-v2")
                    .with_encoding(Encoding::Base64)
                    .with_signed([Part::UrlWithoutQuery, Part::header("x-plivo-signature-v2-nonce")])
                    .dangerous_body_not_signed(),
            )
            .envelope(Envelope::identified_by_header("x-plivo-signature-v2-nonce").opaque("plivo.events"))
            .documentation("https://www.plivo.com/docs/"),
    )
}
