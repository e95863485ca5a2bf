//! Typeform: forms.
//!
//! - Signature: `Typeform-Signature: sha256=<base64>`, HMAC-SHA256 over the body. **No timestamp is signed**:
//!   a captured request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline: 30 s. Retries: for 10 h after 429, 408, 503 and 423, else 5; 404 and 410 disable the
//!   webhook (all third party).
//! - Event: `/event_id`, the same on every attempt; the type is at `/event_type`.

use std::time::Duration;

use super::{HOUR, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, SignatureScheme};

/// The Typeform preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("typeform")
            .signature(
                SignatureScheme::hmac_sha256("typeform-signature")
                    .with_prefix("sha256=")
                    .with_encoding(Encoding::Base64),
            )
            .envelope(
                Envelope::json("/event_id").with_event_type("/event_type").with_payload("/form_response"),
            )
            .answer_deadline(Duration::from_secs(30))
            .retries(Retries::Documented { horizon: 10 * HOUR, resigned: false })
            .documentation("https://www.typeform.com/developers/webhooks/secure-your-webhooks/"),
    )
}
