//! Finch: payroll.
//!
//! - Signature: `Finch-Signature: v1,<base64>`, several separated by blanks, HMAC-SHA256 over
//!   `<Finch-Event-Id>.<Finch-Timestamp>.<body>`, the key being base64. Tolerance 300 s.
//! - Answer deadline and retries: undocumented here.
//! - Event: the header `finch-event-id`, which is signed; the type is at `/event_type`.

use std::time::Duration;

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, KeyEncoding, Pairs, Part, SignatureScheme};

/// The Finch preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("finch")
            .signature(
                SignatureScheme::hmac_sha256("finch-signature")
                    .with_grammar(Pairs::versions("v1"))
                    .with_encoding(Encoding::Base64)
                    .with_key_encoding(KeyEncoding::Base64)
                    .with_timestamp_header("finch-timestamp")
                    .with_signed([
                        Part::header("finch-event-id"),
                        Part::literal("."),
                        Part::Timestamp,
                        Part::literal("."),
                        Part::Body,
                    ])
                    .with_tolerance(Duration::from_secs(300)),
            )
            .envelope(Envelope::identified_by_header("finch-event-id").with_event_type("/event_type"))
            .documentation("https://developer.tryfinch.com/developer-resources/Webhooks"),
    )
}
