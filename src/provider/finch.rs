//! Finch: payroll.
//!
//! - Signature: `Finch-Signature: v1,<base64>`, several separated by blanks, HMAC-SHA256 over
//!   `<Finch-Event-Id>.<Finch-Timestamp>.<body>`, the key being base64. Tolerance 300 s.
//! - Answer deadline and retries: undocumented here.
//! - Event: the header `finch-event-id`, which is signed; the type is at `/event_type`.

use super::standard_webhooks::message;
use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Finch preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("finch")
            .signature(message(
                SignatureScheme::hmac_sha256("finch-signature"),
                "v1",
                "finch-event-id",
                "finch-timestamp",
            ))
            .envelope(Envelope::identified_by_header("finch-event-id").with_event_type("/event_type"))
            .documentation("https://developer.tryfinch.com/developer-resources/Webhooks"),
    )
}
