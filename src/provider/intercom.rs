//! Intercom: customer messages.
//!
//! - Signature: `X-Hub-Signature: sha1=<hex>`, HMAC-SHA1 over the body. **No timestamp is signed**: a
//!   captured request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline: 5 s (third party). Retries: undocumented; deliveries pause after many errors.
//! - Event: `/id`; the type is at `/topic`. `/delivery_attempts` differs between attempts: the same id
//!   arrives with other bytes. The topic `ping` has no id and cannot be read as an event.

use std::time::Duration;

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Intercom preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("intercom")
            .signature(SignatureScheme::hmac_sha1("x-hub-signature").with_prefix("sha1="))
            .envelope(
                Envelope::json("/id")
                    .with_event_type("/topic")
                    .with_payload("/data")
                    .with_created("/created_at"),
            )
            .answer_deadline(Duration::from_secs(5))
            .documentation("https://developers.intercom.com/docs/webhooks"),
    )
}
