//! Bitbucket Data Center (Server). Bitbucket Cloud is another product.
//!
//! - Signature: `X-Hub-Signature: sha256=<hex>`, HMAC-SHA256 over the body. **No timestamp is signed**: a
//!   captured request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline and retries: undocumented here.
//! - Event: the id is in the header `x-request-id`, which is **not signed**; the digest of the body
//!   identifies an event. The type is in the body, at `/eventKey`. The connection test has none, and some
//!   versions do not sign it.

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Bitbucket Data Center preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("bitbucket-server")
            .signature(SignatureScheme::hmac_sha256("x-hub-signature").with_prefix("sha256="))
            .envelope(
                Envelope::identified_by_digest()
                    .with_unsigned_id_header("x-request-id")
                    .with_event_type("/eventKey"),
            )
            .documentation("https://confluence.atlassian.com/bitbucketserver/manage-webhooks-938025878.html"),
    )
}
