//! Vercel: deployments.
//!
//! - Signature: `x-vercel-signature: <hex>`, HMAC-SHA1 over the body. **No timestamp is signed**: a captured
//!   request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline: 30 s. Retries: for 24 h (both third party).
//! - Event: `/id`, documented as that of the delivery; whether a retry keeps it is not said.

use std::time::Duration;

use super::{DAY, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Vercel preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("vercel")
            .signature(SignatureScheme::hmac_sha1("x-vercel-signature"))
            .envelope(Envelope::json("/id").with_payload("/payload"))
            .answer_deadline(Duration::from_secs(30))
            .retries(Retries::Documented { horizon: DAY, resigned: false })
            .documentation("https://vercel.com/docs/webhooks/webhooks-api"),
    )
}
