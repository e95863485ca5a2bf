//! Trello: boards.
//!
//! - Signature: `x-trello-webhook: <base64>`, HMAC-SHA1 over the body and the callback URL, the key being the
//!   application's secret. [`Provider::with_public_url`] must name it, letter for letter as it is registered.
//!   **No timestamp is signed**: a captured request stays valid, and the retention of done marks is the
//!   replay window.
//! - Answer deadline: undocumented here. Retries: 3, after 30, 60 and 120 s (third party).
//! - Event: `/action/id`; two webhooks over one action repeat it. The type is at `/action/type`.

use std::time::Duration;

use super::{Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, Part, SignatureScheme};

/// The Trello preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("trello")
            .signature(
                SignatureScheme::hmac_sha1("x-trello-webhook")
                    .with_encoding(Encoding::Base64)
                    .with_signed([Part::Body, Part::Url]),
            )
            .envelope(Envelope::json("/action/id").with_event_type("/action/type").with_payload("/action"))
            .retries(Retries::Documented { horizon: Duration::from_secs(210), resigned: false })
            .documentation("https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/"),
    )
}
