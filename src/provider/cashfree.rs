//! Cashfree: payments.
//!
//! - Signature: `x-webhook-signature: <base64>`, HMAC-SHA256 over `x-webhook-timestamp`, in milliseconds, and
//!   the body. No tolerance is documented: an hour, which its retries need if they are not signed anew. Should
//!   your account send seconds, every delivery is refused as too old: describe a provider of your own then.
//! - Answer deadline: no figure, with exactly 200. Retries: after 2, 10 and 30 min unless configured
//!   otherwise.
//! - Event: there is no id; the digest of what is signed identifies a request, so that a retry with a new
//!   timestamp runs again. The header `x-idempotency-key` of newer versions is not signed.

use super::{HOUR, MINUTE, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, Part, SignatureScheme, TimestampUnit};

/// The Cashfree preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("cashfree")
            .signature(
                SignatureScheme::hmac_sha256("x-webhook-signature")
                    .with_encoding(Encoding::Base64)
                    .with_timestamp_header("x-webhook-timestamp")
                    .with_timestamp_unit(TimestampUnit::Millis)
                    .with_signed([Part::Timestamp, Part::Body])
                    // Longer than it retries: whether it signs anew is not said.
                    .with_tolerance(HOUR),
            )
            .envelope(
                Envelope::identified_by_digest()
                    .with_unsigned_id_header("x-idempotency-key")
                    .with_payload("/data"),
            )
            .retries(Retries::Documented { horizon: 42 * MINUTE, resigned: false })
            .documentation("https://www.cashfree.com/docs/api-reference/webhooks/payloads-and-signatures"),
    )
}
