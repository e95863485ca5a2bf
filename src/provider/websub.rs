//! WebSub, from hubs that sign with SHA-256.
//!
//! - Signature: `X-Hub-Signature: sha256=<hex>`, HMAC-SHA256 over the body. **No timestamp is signed**: a
//!   captured request stays valid, and runs again.
//! - Answer deadline and retries: the hub's.
//! - Event: the body is the topic's content, of any type. It is not read: one delivery of the type
//!   `websub.events`. Content may return to what it was, so that **nothing identifies an event**: every
//!   delivery runs, a retry and a replay too.
//! - Handshake: a GET with `hub.topic`, answered with its challenge for the topics of
//!   [`Provider::with_hub_topics`].

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::handshake::Handshake;
use crate::signature::SignatureScheme;

/// The WebSub preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("websub")
            .signature(SignatureScheme::hmac_sha256("x-hub-signature").with_prefix("sha256="))
            .envelope(Envelope::unidentified().opaque("websub.events"))
            .handshake(Handshake::hub_topics())
            .documentation("https://www.w3.org/TR/websub/"),
    )
}
