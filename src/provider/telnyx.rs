//! Telnyx: messages and calls.
//!
//! - Signature: `telnyx-signature-ed25519: <base64>` over `<telnyx-timestamp>|<body>`; the secret is the account's public
//!   key, in base64. Tolerance 300 s.
//! - Answer deadline: 2 s, with exactly 200 by some pages. Retries: some, then the failover URL; for how long is not
//!   said.
//! - Event: `/data/id`; the type is at `/data/event_type`. TeXML callbacks and some others have another shape and cannot
//!   be read with this preset.

use std::time::Duration;

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, KeyEncoding, Part, SignatureScheme};

/// The Telnyx preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("telnyx")
            .signature(
                SignatureScheme::ed25519("telnyx-signature-ed25519")
                    .with_encoding(Encoding::Base64)
                    .with_key_encoding(KeyEncoding::Base64)
                    .with_timestamp_header("telnyx-timestamp")
                    .with_signed([Part::Timestamp, Part::literal("|"), Part::Body])
                    .with_tolerance(Duration::from_secs(300)),
            )
            .envelope(Envelope::json("/data/id").with_event_type("/data/event_type").with_payload("/data"))
            .answer_deadline(Duration::from_secs(2))
            .documentation("https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks"),
    )
}
