//! Polar: payments for software.
//!
//! - Signature: [Standard Webhooks](super::standard_webhooks), but for the key: it is the whole text of the
//!   secret, not decoded. Tolerance 300 s.
//! - Answer deadline: 10 s by some pages, 20 s by others. Retries: 10, for how long is not said.
//! - Event: the header `webhook-id`, which is signed. Endpoints in the formats of Slack and Discord send
//!   other bodies and are not meant.

use std::time::Duration;

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, Pairs, Part, SignatureScheme};

/// The Polar preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("polar")
            .signature(
                SignatureScheme::hmac_sha256("webhook-signature")
                    .with_grammar(Pairs::versions("v1"))
                    .with_encoding(Encoding::Base64)
                    .with_timestamp_header("webhook-timestamp")
                    .with_signed([
                        Part::header("webhook-id"),
                        Part::literal("."),
                        Part::Timestamp,
                        Part::literal("."),
                        Part::Body,
                    ])
                    .with_tolerance(Duration::from_secs(300)),
            )
            .envelope(Envelope::identified_by_header("webhook-id").with_payload("/data"))
            .answer_deadline(Duration::from_secs(10))
            .documentation("https://polar.sh/docs/integrate/webhooks/delivery"),
    )
}
