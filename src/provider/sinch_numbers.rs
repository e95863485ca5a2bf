//! Sinch Numbers. For the other products of Sinch: [`sinch`](super::sinch).
//!
//! - Signature: `X-Sinch-Signature: <hex>`, HMAC-SHA1 over the body. **No timestamp is signed**: a captured
//!   request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline: undocumented here. Retries: some, for how long is not said.
//! - Event: `/eventId`; the type is at `/eventType`.

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Sinch Numbers preset.
#[must_use]
pub fn provider() -> Provider {
    preset(Provider::builder("sinch-numbers").signature(SignatureScheme::hmac_sha1("x-sinch-signature")).envelope(Envelope::json("/eventId").with_event_type("/eventType")).documentation("https://developers.sinch.com/docs/numbers/api-reference/imported-hosting/tag/Imported-Numbers-and-Hosting-Orders-Callbacks"))
}
