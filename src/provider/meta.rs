//! Meta: Facebook, Instagram, Messenger, WhatsApp.
//!
//! - Signature: `X-Hub-Signature-256: sha256=<hex>`, HMAC-SHA256 over the body under the app's secret. **No
//!   timestamp is signed**: a captured request stays valid, and the retention of done marks is the replay
//!   window.
//! - Answer deadline: no figure is published. Retries: for 36 h, WhatsApp for 7 days (third party).
//! - Event: a body holds up to 1,000 changes, none of which has an id that holds for all products. One
//!   delivery of the type `meta.events`, the whole body, told from others by its digest; make the effect of
//!   each change idempotent.

use super::{DAY, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Meta preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("meta")
            .signature(SignatureScheme::hmac_sha256("x-hub-signature-256").with_prefix("sha256="))
            .envelope(Envelope::identified_by_digest().opaque("meta.events"))
            .retries(Retries::Documented { horizon: 7 * DAY, resigned: false })
            .documentation("https://developers.facebook.com/docs/graph-api/webhooks/getting-started"),
    )
}
