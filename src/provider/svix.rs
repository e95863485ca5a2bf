//! Svix, and who sends through it: Clerk, Resend, Brex, Lithic and others.
//!
//! - Signature: [Standard Webhooks](super::standard_webhooks), with the headers `svix-id`, `svix-timestamp` and
//!   `svix-signature`, or `webhook-` instead of `svix-`. Tolerance 300 s. With [`asymmetric`] the `v1a` of it.
//! - Answer deadline: 15 s; a 3xx is a failure. Retries: for 27 h 35 min, every attempt signed anew.
//! - Event: the id header, which is signed, the same on every attempt and when it is sent again by hand. The body is the
//!   sender's own; the type is expected at `/type`, as all those named above have it: a sender whose bodies have none
//!   needs a description of its own.

use std::time::Duration;

use super::standard_webhooks::message;
use super::{Provider, ProviderBuilder, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

const ID: [&str; 2] = ["svix-id", "webhook-id"];
const TIMESTAMP: [&str; 2] = ["svix-timestamp", "webhook-timestamp"];
const SIGNATURE: [&str; 2] = ["svix-signature", "webhook-signature"];

/// Svix with a shared secret: `v1`.
#[must_use]
pub fn provider() -> Provider {
    let scheme = SignatureScheme::hmac_sha256(SIGNATURE).with_key_prefix("whsec_");
    preset(builder().signature(message(scheme, "v1", ID, TIMESTAMP)))
}

/// Svix with the sender's public key: `v1a`.
#[cfg(feature = "ed25519")]
#[cfg_attr(docsrs, doc(cfg(feature = "ed25519")))]
#[must_use]
pub fn asymmetric() -> Provider {
    let scheme = SignatureScheme::ed25519(SIGNATURE).with_key_prefix("whpk_");
    preset(builder().signature(message(scheme, "v1a", ID, TIMESTAMP)))
}

fn builder() -> ProviderBuilder {
    Provider::builder("svix")
        .envelope(Envelope::identified_by_header(ID))
        .answer_deadline(Duration::from_secs(15))
        .retries(Retries::Documented { horizon: Duration::from_secs(99_305), resigned: true })
        .documentation("https://docs.svix.com/receiving/verifying-payloads/how")
}
