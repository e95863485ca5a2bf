//! Scalr: infrastructure.
//!
//! - Signature: `X-Signature: <hex>`, HMAC-SHA1 over the body and the header `date`. The date is not checked
//!   for its age: a captured request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline and retries: undocumented here.
//! - Event: id and type are undocumented here. The body is not read: one delivery of the type `scalr.events`,
//!   told from others by the digest of what is signed.

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::{Part, SignatureScheme};

/// The Scalr preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("scalr")
            .signature(
                SignatureScheme::hmac_sha1("x-signature").with_signed([Part::Body, Part::header("date")]),
            )
            .envelope(Envelope::identified_by_digest().opaque("scalr.events"))
            .documentation("https://docs.scalr.io/docs/webhooks"),
    )
}
