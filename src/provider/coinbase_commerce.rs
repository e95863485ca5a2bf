//! Coinbase Commerce: payments in crypto.
//!
//! - Signature: `X-CC-Webhook-Signature: <hex>`, HMAC-SHA256 over the body. **No timestamp is signed**: a
//!   captured request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline: no figure, with exactly 200. Retries: for 3 days.
//! - Event: `/event/id`. `/id` is that of a delivery, and `/attempt_number` differs between attempts.

use super::{DAY, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Coinbase Commerce preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("coinbase-commerce")
            .signature(SignatureScheme::hmac_sha256("x-cc-webhook-signature"))
            .envelope(
                Envelope::json("/event/id")
                    .with_event_type("/event/type")
                    .with_payload("/event/data")
                    .with_api_version("/event/api_version"),
            )
            .retries(Retries::Documented { horizon: 3 * DAY, resigned: false })
            .documentation("https://docs.cdp.coinbase.com/commerce/api-arcitecture/webhooks-overview"),
    )
}
