//! Polar: payments for software.
//!
//! - Signature: [Standard Webhooks](super::standard_webhooks), but for the key: it is the whole text of the
//!   secret, not decoded. Tolerance 300 s.
//! - Answer deadline: 10 s by some pages, 20 s by others. Retries: 10, for how long is not said.
//! - Event: the header `webhook-id`, which is signed. Endpoints in the formats of Slack and Discord send
//!   other bodies and are not meant.

use std::time::Duration;

use super::standard_webhooks::message;
use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::{KeyEncoding, SignatureScheme};

/// The Polar preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("polar")
            .signature(
                // As the specification has it, but for the key.
                message(
                    SignatureScheme::hmac_sha256("webhook-signature"),
                    "v1",
                    "webhook-id",
                    "webhook-timestamp",
                )
                .with_key_encoding(KeyEncoding::Utf8),
            )
            .envelope(Envelope::identified_by_header("webhook-id").with_payload("/data"))
            .answer_deadline(Duration::from_secs(10))
            .documentation("https://polar.sh/docs/integrate/webhooks/delivery"),
    )
}
