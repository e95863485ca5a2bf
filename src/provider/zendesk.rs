//! Zendesk: tickets.
//!
//! - Signature: `x-zendesk-webhook-signature: <base64>`, HMAC-SHA256 over
//!   `x-zendesk-webhook-signature-timestamp`, a date, and the body. Tolerance 300 s.
//! - Answer deadline: 12 s. Retries: 3 after 409, 5 after timeouts, after 429 and 503 only with a
//!   `Retry-After` under 60 s; nothing after 401 and 500 (all third party). For how long is not said.
//! - Event: what a trigger sends is whatever its author wrote, JSON or not. The body is not read: one
//!   delivery of the type `zendesk.events`, told from others by the digest of what is signed. Event
//!   subscriptions have an `/id` in the body to make effects idempotent with.

use std::time::Duration;

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, Part, SignatureScheme, TimestampUnit};

/// The Zendesk preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("zendesk")
            .signature(
                SignatureScheme::hmac_sha256("x-zendesk-webhook-signature")
                    .with_encoding(Encoding::Base64)
                    .with_timestamp_header("x-zendesk-webhook-signature-timestamp")
                    .with_timestamp_unit(TimestampUnit::Rfc3339)
                    .with_signed([Part::Timestamp, Part::Body])
                    .with_tolerance(Duration::from_secs(300)),
            )
            .envelope(
                Envelope::identified_by_digest()
                    .with_unsigned_id_header("x-zendesk-webhook-invocation-id")
                    .opaque("zendesk.events"),
            )
            .answer_deadline(Duration::from_secs(12))
            .documentation("https://developer.zendesk.com/documentation/webhooks/verifying/"),
    )
}
