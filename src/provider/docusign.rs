//! DocuSign Connect.
//!
//! - Signature: `X-DocuSign-Signature-1: <base64>`, one header for each key of the account (up to 16 are
//!   looked at), HMAC-SHA256 over the body. **No timestamp is signed**: a captured request stays valid, and
//!   the retention of done marks is the replay window.
//! - Answer deadline: undocumented here. Retries: for 7 or 15 days, by different third parties; 15 are taken.
//! - Event: bodies may be XML. They are not read: one delivery of the type `docusign.events`, told from
//!   others by its digest. `/retryCount` differs between attempts, so that a retry runs again.

use super::{DAY, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, SignatureScheme};

/// The DocuSign Connect preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("docusign")
            .signature(
                SignatureScheme::hmac_sha256("x-docusign-signature-1")
                    .with_further_headers((2..=16).map(|number| format!("x-docusign-signature-{number}")))
                    .with_encoding(Encoding::Base64),
            )
            .envelope(Envelope::identified_by_digest().opaque("docusign.events"))
            .retries(Retries::Documented { horizon: 15 * DAY, resigned: false })
            .documentation("https://developers.docusign.com/platform/webhooks/connect/validate/"),
    )
}
