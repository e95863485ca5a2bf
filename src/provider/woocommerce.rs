//! WooCommerce: shops.
//!
//! - Signature: `X-WC-Webhook-Signature: <base64>`, HMAC-SHA256 over the body. **No timestamp is signed**: a
//!   captured request stays valid, and runs again.
//! - Answer deadline: undocumented here. Retries: **never**. Failed deliveries are counted, and five in a row
//!   disable the webhook (third party).
//! - Event: id and topic are in headers, which are **not signed**: whoever captured a request can send it
//!   under another topic. Bodies may repeat (of an order that is deleted there is but the number), so that
//!   **nothing that is signed identifies an event**: every delivery runs, unless you
//!   [trust](Provider::identify_by_unsigned_header) the id. The form that is sent on activation is not signed
//!   and refused.

use super::{Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, SignatureScheme};

/// The WooCommerce preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("woocommerce")
            .signature(SignatureScheme::hmac_sha256("x-wc-webhook-signature").with_encoding(Encoding::Base64))
            .envelope(
                Envelope::unidentified()
                    .with_unsigned_id_header("x-wc-webhook-delivery-id")
                    .with_event_type_header("x-wc-webhook-topic"),
            )
            .retries(Retries::Never)
            .documentation("https://developer.woocommerce.com/docs/webhooks/"),
    )
}
