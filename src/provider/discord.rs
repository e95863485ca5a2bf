//! Discord: webhook events and interactions. It probes with wrong signatures, and removes a URL that does not answer
//! them with 401: the default.
//!
//! - Signature: `X-Signature-Ed25519: <hex>` over `X-Signature-Timestamp` and the body; the secret is the application's
//!   public key, in hexadecimal digits. No tolerance is documented: 600 s, for as long as it retries.
//! - Answer deadline: 3 s. Retries: events for 10 min (third party), interactions never. Whether they are signed anew is
//!   not said.
//! - Event: webhook events have no id. Every event is of the type `discord.events`, told from others by the digest of
//!   what is signed, so that a retry with a new timestamp runs again; handlers are given the whole body. An interaction
//!   wants an answer in the body: it is for a service inside the layer.
//! - Handshake: a signed PING, `"type":0`, answered 204. In interactions PING is 1, which is an event here: their answers
//!   are the application's, so that they belong to a service inside the layer.

use std::time::Duration;

use super::{MINUTE, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::handshake::Handshake;
use crate::signature::{Part, SignatureScheme};

/// The Discord preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("discord")
            .signature(
                SignatureScheme::ed25519("x-signature-ed25519")
                    .with_timestamp_header("x-signature-timestamp")
                    .with_signed([Part::Timestamp, Part::Body])
                    // As long as it retries: whether it signs anew is not said.
                    .with_tolerance(10 * MINUTE),
            )
            .envelope(Envelope::identified_by_digest().with_constant_event_type("discord.events"))
            .answer_deadline(Duration::from_secs(3))
            .retries(Retries::Documented { horizon: 10 * MINUTE, resigned: false })
            .handshake(Handshake::no_content("/type", 0))
            .documentation("https://docs.discord.com/developers/events/webhook-events"),
    )
}
