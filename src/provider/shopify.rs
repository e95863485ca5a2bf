//! Shopify: shops.
//!
//! - Signature: `X-Shopify-Hmac-SHA256: <base64>`, HMAC-SHA256 over the body. **No timestamp is signed**: a
//!   captured request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline: 5 s, 1 s of it to connect. Retries: 8 in 4 h; 8 failures in a row delete a subscription
//!   that was made by API.
//! - Event: id and topic are in headers, which are **not signed**: whoever captured a request can send it
//!   under another id or topic. The digest of the body identifies it.

use std::time::Duration;

use super::{HOUR, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, SignatureScheme};

/// The Shopify preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("shopify")
            .signature(SignatureScheme::hmac_sha256("x-shopify-hmac-sha256").with_encoding(Encoding::Base64))
            .envelope(
                Envelope::identified_by_digest()
                    .with_unsigned_id_header("x-shopify-webhook-id")
                    .with_event_type_header("x-shopify-topic"),
            )
            .answer_deadline(Duration::from_secs(5))
            .retries(Retries::Documented { horizon: 4 * HOUR, resigned: false })
            .documentation("https://shopify.dev/docs/apps/build/webhooks/verify-deliveries"),
    )
}
