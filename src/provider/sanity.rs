//! Sanity: content.
//!
//! - Signature: `sanity-webhook-signature: t=<Unix milliseconds>,v1=<base64url>`, HMAC-SHA256 over
//!   `<t>.<body>`. No tolerance is documented: 300 s.
//! - Answer deadline: 30 s (third party). Retries: 2, 30 s apart, after 429 and 5xx only; a 401 is final.
//! - Event: the body is what your GROQ projection makes of a document, without id or type. It is not read:
//!   every event is a `sanity.document`, told from others by the digest of what is signed. The header
//!   `idempotency-key` is not signed.

use std::time::Duration;

use super::{Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, SignatureScheme, TimestampUnit};

/// The Sanity preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("sanity")
            .signature(
                SignatureScheme::hmac_sha256("sanity-webhook-signature")
                    .with_pairs("t", "v1")
                    .with_timestamp_unit(TimestampUnit::Millis)
                    .with_encoding(Encoding::Base64Url),
            )
            .envelope(
                Envelope::identified_by_digest()
                    .with_unsigned_id_header("idempotency-key")
                    .opaque("sanity.document"),
            )
            .answer_deadline(Duration::from_secs(30))
            .retries(Retries::Documented { horizon: Duration::from_secs(60), resigned: false })
            .documentation("https://www.sanity.io/docs/webhooks"),
    )
}
