//! Linear: issues.
//!
//! - Signature: `Linear-Signature: <hex>`, HMAC-SHA256 over the body, which has the time in milliseconds at
//!   `/webhookTimestamp`. Tolerance 60 s.
//! - Answer deadline: 5 s. Retries: after 1 min, 1 h and 6 h (both third party); with that tolerance they
//!   must be signed anew: the timestamp is documented as the time of sending.
//! - Event: the id is in the header `linear-delivery`, which is **not signed**, and `/webhookId` is the
//!   webhook's. The digest of the body identifies a request, so that a retry with a new timestamp runs again.
//!   The type is at `/type`; `/action` says what became of the object.

use std::time::Duration;

use super::{Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{SignatureScheme, TimestampUnit};

/// The Linear preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("linear")
            .signature(
                SignatureScheme::hmac_sha256("linear-signature")
                    .with_timestamp_in_body("/webhookTimestamp")
                    .with_timestamp_unit(TimestampUnit::Millis)
                    .with_tolerance(Duration::from_secs(60)),
            )
            .envelope(Envelope::identified_by_digest().with_unsigned_id_header("linear-delivery"))
            .answer_deadline(Duration::from_secs(5))
            .retries(Retries::Documented { horizon: Duration::from_secs(25_260), resigned: true })
            .documentation("https://linear.app/developers/webhooks"),
    )
}
