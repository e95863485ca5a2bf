//! Sinch: the products that send `x-sinch-webhook-signature`, such as Conversation and SMS. For Numbers:
//! [`sinch_numbers`](super::sinch_numbers).
//!
//! - Signature: `x-sinch-webhook-signature: <base64>`, HMAC-SHA256 over `<body>.<nonce>.<timestamp>`, both
//!   from headers; `x-sinch-webhook-signature-algorithm` must be `HmacSHA256`. Tolerance 300 s.
//! - Answer deadline: undocumented here. Retries: SMS after 5 s, then twice as long each time, up to 81,920
//!   s, after 429 and 5xx only; with that tolerance they must be signed anew, which the documentation does
//!   not say.
//! - Event: there is no id, and no type that all products have: every event is of the type `sinch.events`,
//!   told from others by the digest of what is signed, so that a retry runs again.

use std::time::Duration;

use super::{Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, Part, SignatureScheme};

/// The Sinch preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("sinch")
            .signature(
                SignatureScheme::hmac_sha256("x-sinch-webhook-signature")
                    .with_encoding(Encoding::Base64)
                    .with_required_header("x-sinch-webhook-signature-algorithm", "HmacSHA256")
                    .with_timestamp_header("x-sinch-webhook-signature-timestamp")
                    .with_signed([
                        Part::Body,
                        Part::literal("."),
                        Part::header("x-sinch-webhook-signature-nonce"),
                        Part::literal("."),
                        Part::Timestamp,
                    ])
                    .with_tolerance(Duration::from_secs(300)),
            )
            .envelope(Envelope::identified_by_digest().with_constant_event_type("sinch.events"))
            .retries(Retries::Documented { horizon: Duration::from_secs(163_835), resigned: true })
            .documentation("https://developers.sinch.com/docs/conversation/callbacks"),
    )
}
