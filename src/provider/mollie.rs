//! Mollie: payments, next-generation webhooks. Classic webhooks (a form with `id=tr_..`) are **not signed**
//! and refused.
//!
//! - Signature: `X-Mollie-Signature: sha256=<hex>`, the prefix being left out sometimes, HMAC-SHA256 over the
//!   body. **No timestamp is signed**: a captured request stays valid, and the retention of done marks is the
//!   replay window.
//! - Answer deadline and retries: undocumented here.
//! - Event: `/id`. The object is at `/_embedded/entity` in full payloads only, so that handlers are given the
//!   whole body.

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Mollie preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("mollie")
            .signature(SignatureScheme::hmac_sha256("x-mollie-signature").with_optional_prefix("sha256="))
            .envelope(Envelope::json("/id"))
            .documentation("https://docs.mollie.com/reference/webhooks-new"),
    )
}
