//! Adyen: platform webhooks, which sign the whole payload. Standard (payment) webhooks sign fields of each
//! item in the body and cannot be verified with this preset.
//!
//! - Signature: `HmacSignature: <base64>`, HMAC-SHA256 over the body, the key being shown in hexadecimal
//!   digits. **No timestamp is signed**: a captured request stays valid, and the retention of done marks is
//!   the replay window.
//! - Answer deadline: 10 s. Retries: for 30 days.
//! - Event: there is no id; the digest of the body identifies an event.

use std::time::Duration;

use super::{DAY, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, KeyEncoding, SignatureScheme};

/// The Adyen preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("adyen")
            .signature(
                SignatureScheme::hmac_sha256("hmacsignature")
                    .with_encoding(Encoding::Base64)
                    .with_key_encoding(KeyEncoding::Hex),
            )
            .envelope(Envelope::identified_by_digest())
            .answer_deadline(Duration::from_secs(10))
            .retries(Retries::Documented { horizon: 30 * DAY, resigned: false })
            .documentation("https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures/"),
    )
}
