//! Square: payments.
//!
//! - Signature: `x-square-hmacsha256-signature: <base64>`, HMAC-SHA256 over the notification URL and the
//!   body. [`Provider::with_public_url`] must name it, letter for letter as it is registered. **No timestamp
//!   is signed**: a captured request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline: no figure (an older page says 10 s). Retries: for 24 h.
//! - Event: `/event_id`, the same on every attempt.

use super::{DAY, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, Part, SignatureScheme};

/// The Square preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("square")
            .signature(
                SignatureScheme::hmac_sha256("x-square-hmacsha256-signature")
                    .with_encoding(Encoding::Base64)
                    .with_signed([Part::Url, Part::Body]),
            )
            .envelope(Envelope::json("/event_id").with_payload("/data"))
            .retries(Retries::Documented { horizon: DAY, resigned: false })
            .documentation("https://developer.squareup.com/docs/webhooks/step3validate"),
    )
}
