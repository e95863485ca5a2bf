//! Stripe: payments.
//!
//! - Signature: `Stripe-Signature: t=<Unix seconds>,v1=<hex>`, HMAC-SHA256 over `<t>.<body>`, the key being
//!   the whole text of the secret, `whsec_` included. Tolerance 300 s.
//! - Answer deadline: no figure is published. Retries: for 3 days in live mode, signed anew each time (by
//!   third parties' account).
//! - Event: `/id`, stable over retries. One event that goes to two endpoints has one id: give the layers
//!   different endpoint names.
//! - Thin events (API v2) have no `/data/object` and cannot be read with this preset.

use std::time::Duration;

use super::{DAY, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Stripe preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("stripe")
            .signature(
                SignatureScheme::hmac_sha256("stripe-signature")
                    .with_pairs("t", "v1")
                    .with_tolerance(Duration::from_secs(300)),
            )
            .envelope(
                Envelope::json("/id")
                    .with_payload("/data/object")
                    .with_created("/created")
                    .with_livemode("/livemode")
                    .with_api_version("/api_version"),
            )
            .retries(Retries::Documented { horizon: 3 * DAY, resigned: true })
            .documentation("https://docs.stripe.com/webhooks/signatures"),
    )
}
