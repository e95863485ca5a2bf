//! X: the Account Activity API.
//!
//! - Signature: `x-twitter-webhooks-signature: sha256=<base64>`, HMAC-SHA256 over the body under the consumer
//!   secret. **No timestamp is signed**: a captured request stays valid, and the retention of done marks is
//!   the replay window.
//! - Answer deadline: 3 s (newer pages say 10 s). Retries: 3 in 5 min.
//! - Event: a body holds arrays of events, one for each kind. One delivery of the type `x.events`, the whole
//!   body, told from others by its digest.

use std::time::Duration;

use super::{MINUTE, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, SignatureScheme};

/// The X preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("x")
            .signature(
                SignatureScheme::hmac_sha256("x-twitter-webhooks-signature")
                    .with_prefix("sha256=")
                    .with_encoding(Encoding::Base64),
            )
            .envelope(Envelope::identified_by_digest().opaque("x.events"))
            .answer_deadline(Duration::from_secs(3))
            .retries(Retries::Documented { horizon: 5 * MINUTE, resigned: false })
            .documentation("https://docs.x.com/x-api/webhooks/quickstart"),
    )
}
