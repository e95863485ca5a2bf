//! LINE: the Messaging API.
//!
//! - Signature: `x-line-signature: <base64>`, HMAC-SHA256 over the body under the channel's secret. **No
//!   timestamp is signed**: a captured request stays valid, and the retention of done marks is the replay
//!   window.
//! - Answer deadline and retries: undocumented here; redelivery is off unless switched on.
//! - Event: a body holds any number of events, also none, each with a `webhookEventId`. One delivery of the
//!   type `line.events`, the whole body, told from others by its digest. A redelivery differs in
//!   `isRedelivery` and runs again: use the ids to make the effect of each event idempotent.

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, SignatureScheme};

/// The LINE preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("line")
            .signature(SignatureScheme::hmac_sha256("x-line-signature").with_encoding(Encoding::Base64))
            .envelope(Envelope::identified_by_digest().opaque("line.events"))
            .documentation("https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/"),
    )
}
