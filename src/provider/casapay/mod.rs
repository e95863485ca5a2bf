//! CasaPay: rent and tenant payments.
//!
//! - Signature: `X-CasaPay-Signature: t=<Unix seconds>,v1=<hex>`, HMAC-SHA256 over `<t>.<raw body>`, the key
//!   being the whole text of the secret, `whsec_` included. Tolerance 300 s both ways.
//! - Answer deadline and retry schedule: undocumented.
//! - Payload: the API object under `data.object`. `pending_webhooks` may differ between attempts of one event,
//!   so that the same id arrives with other bytes; the id decides.

pub mod events;

use std::time::Duration;

pub use self::events::EVENT_TYPES;
use super::{Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The CasaPay preset.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::casapay;
///
/// let provider = casapay::provider();
/// assert_eq!(provider.signature_header(), "x-casapay-signature");
/// assert_eq!(provider.tolerance(), Some(Duration::from_secs(300)));
/// ```
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("casapay")
            .signature(
                SignatureScheme::hmac_sha256("x-casapay-signature")
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
            .retries(Retries::Undocumented)
            .event_types(EVENT_TYPES.iter().copied())
            .api_version("2025-01-15"),
    )
}
