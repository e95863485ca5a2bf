//! Notion: pages and databases.
//!
//! - Signature: `X-Notion-Signature: sha256=<hex>`, HMAC-SHA256 over the body under the verification token.
//!   **No timestamp is signed**: a captured request stays valid, and the retention of done marks is the
//!   replay window.
//! - Answer deadline: undocumented here. Retries: 8, over about 24 h (third party).
//! - Event: `/id`. `/attempt_number` differs between attempts: the same id arrives with other bytes. The
//!   first request, which brings the verification token, comes before there is a secret and cannot be
//!   verified.

use super::{DAY, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Notion preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("notion")
            .signature(SignatureScheme::hmac_sha256("x-notion-signature").with_prefix("sha256="))
            .envelope(Envelope::json("/id").with_api_version("/api_version"))
            .retries(Retries::Documented { horizon: DAY, resigned: false })
            .documentation("https://developers.notion.com/reference/webhooks"),
    )
}
