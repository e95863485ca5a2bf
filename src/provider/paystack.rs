//! Paystack: payments.
//!
//! - Signature: `x-paystack-signature: <hex>`, HMAC-SHA512 over the body, the key being the API's secret key.
//!   **No timestamp is signed**: a captured request stays valid, and the retention of done marks is the
//!   replay window.
//! - Answer deadline: 30 s, with exactly 200 (third party). Retries: for 72 h in live mode.
//! - Event: there is no id; the digest of the body identifies an event. The type is at `/event`.

use std::time::Duration;

use super::{DAY, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Paystack preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("paystack")
            .signature(SignatureScheme::hmac_sha512("x-paystack-signature"))
            .envelope(Envelope::identified_by_digest().with_event_type("/event").with_payload("/data"))
            .answer_deadline(Duration::from_secs(30))
            .retries(Retries::Documented { horizon: 3 * DAY, resigned: false })
            .documentation("https://paystack.com/docs/payments/webhooks/"),
    )
}
