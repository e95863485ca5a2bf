//! Stream: chat, video, feeds.
//!
//! - Signature: `X-Signature: <hex>`, HMAC-SHA256 over the body under the API's secret. **No timestamp is
//!   signed**: a captured request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline: 6 s (an older page says 3 s). Retries: within 15 s.
//! - Event: the id is in the header `x-webhook-id`, which is **not signed**; the digest of the body
//!   identifies an event.

use std::time::Duration;

use super::{Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Stream preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("getstream")
            .signature(SignatureScheme::hmac_sha256("x-signature"))
            .envelope(Envelope::identified_by_digest().with_unsigned_id_header("x-webhook-id"))
            .answer_deadline(Duration::from_secs(6))
            .retries(Retries::Documented { horizon: Duration::from_secs(15), resigned: false })
            .documentation("https://getstream.io/chat/docs/node/webhooks_overview/"),
    )
}
