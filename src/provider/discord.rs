//! Discord: webhook events and interactions. It probes with wrong signatures, and removes a URL that does not answer
//! them with 401: the default.
//!
//! - Signature: `X-Signature-Ed25519: <hex>` over `X-Signature-Timestamp` and the body; the secret is the application's
//!   public key, in hexadecimal digits. No tolerance is documented: 300 s.
//! - Answer deadline: 3 s. Retries: events for 10 min (third party), interactions never. Whether they are signed anew is
//!   not said: if not, the later ones are refused, and the tolerance must be [wider](Provider::with_tolerance).
//! - Event: webhook events have no id. Every event is of the type `discord.events`, told from others by the digest of
//!   what is signed, so that a retry with a new timestamp runs again; handlers are given the whole body. An interaction
//!   wants an answer in the body: it is for a service inside the layer.

use std::time::Duration;

use super::{MINUTE, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Part, SignatureScheme};

/// The Discord preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("discord")
            .signature(
                SignatureScheme::ed25519("x-signature-ed25519")
                    .with_timestamp_header("x-signature-timestamp")
                    .with_signed([Part::Timestamp, Part::Body]),
            )
            .envelope(Envelope::identified_by_digest().with_constant_event_type("discord.events"))
            .answer_deadline(Duration::from_secs(3))
            .retries(Retries::Documented { horizon: 10 * MINUTE, resigned: false })
            .documentation("https://docs.discord.com/developers/events/webhook-events"),
    )
}
