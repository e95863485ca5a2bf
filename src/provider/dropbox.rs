//! Dropbox: notifications that files have changed.
//!
//! - Signature: `X-Dropbox-Signature: <hex>`, HMAC-SHA256 over the body under the app's secret. **No
//!   timestamp is signed**: a captured request stays valid, and the retention of done marks is the replay
//!   window.
//! - Answer deadline: 10 s. Retries: for some 10 min (both from an older copy of the documentation).
//! - Event: a body says who changed something, and is the same the next time. **Nothing identifies an
//!   event**: every delivery runs, a retry and a replay too. The type is `dropbox.events`.

use std::time::Duration;

use super::{MINUTE, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Dropbox preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("dropbox")
            .signature(SignatureScheme::hmac_sha256("x-dropbox-signature"))
            .envelope(Envelope::unidentified().with_constant_event_type("dropbox.events"))
            .answer_deadline(Duration::from_secs(10))
            .retries(Retries::Documented { horizon: 10 * MINUTE, resigned: false })
            .documentation("https://www.dropbox.com/developers/reference/webhooks"),
    )
}
