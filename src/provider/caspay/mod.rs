//! CasPay: payments in CSPR.
//!
//! - Signature: `x-caspay-signature`, hexadecimal HMAC-SHA256 over the raw body, the key being the secret's
//!   text. **No timestamp is signed**, so that a captured request stays valid: the retention of done marks is
//!   the replay window.
//! - Answer deadline: 5 seconds; the layer answers after 4 at the latest.
//! - Retry schedule: undocumented.
//! - Payload: the object under `data`.

pub mod events;

use std::time::Duration;

pub use self::events::EVENT_TYPES;
use super::{Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The CasPay preset.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::caspay;
///
/// let provider = caspay::provider();
/// assert_eq!(provider.signature_header(), "x-caspay-signature");
/// assert_eq!(provider.answer_deadline(), Some(Duration::from_secs(5)));
/// assert!(!provider.signs_timestamp());
/// ```
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("caspay")
            .signature(SignatureScheme::hmac_sha256("x-caspay-signature"))
            .envelope(Envelope::json("/id").with_payload("/data").with_created("/created"))
            .answer_deadline(Duration::from_secs(5))
            .retries(Retries::Undocumented)
            .event_types(EVENT_TYPES.iter().copied()),
    )
}
