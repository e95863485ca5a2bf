//! ElevenLabs: voice agents.
//!
//! - Signature: `ElevenLabs-Signature: t=<Unix seconds>,v0=<hex>`, HMAC-SHA256 over `<t>.<body>`. Tolerance
//!   1,800 s.
//! - Answer deadline: 10 s, with exactly 200 (third party). Retries: undocumented.
//! - Event: there is no id. The body has the conversation and `/event_timestamp`, which is a number in some
//!   accounts and text in others; its digest identifies it.

use std::time::Duration;

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The ElevenLabs preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("elevenlabs")
            .signature(
                SignatureScheme::hmac_sha256("elevenlabs-signature")
                    .with_pairs("t", "v0")
                    .with_tolerance(Duration::from_secs(1_800)),
            )
            .envelope(Envelope::identified_by_body().with_payload("/data").with_created("/event_timestamp"))
            .answer_deadline(Duration::from_secs(10))
            .documentation("https://elevenlabs.io/docs/overview/administration/webhooks"),
    )
}
