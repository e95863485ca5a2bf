//! Zoom: meetings.
//!
//! - Signature: `x-zm-signature: v0=<hex>`, HMAC-SHA256 over `v0:<x-zm-request-timestamp>:<body>`. Tolerance
//!   300 s.
//! - Answer deadline: 3 s, with 200 or 204. Retries: after 5, 20 and 60 min, for statuses of 500 and above; a
//!   401 is final. With that tolerance they must be signed anew, which the documentation does not say.
//! - Event: there is no id. The body has the object and `/event_ts` in milliseconds; its digest identifies
//!   it. Two subscriptions to one event deliver it twice.

use std::time::Duration;

use super::{MINUTE, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Part, SignatureScheme};

/// The Zoom preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("zoom")
            .signature(
                SignatureScheme::hmac_sha256("x-zm-signature")
                    .with_prefix("v0=")
                    .with_timestamp_header("x-zm-request-timestamp")
                    .with_signed([Part::literal("v0:"), Part::Timestamp, Part::literal(":"), Part::Body])
                    .with_tolerance(Duration::from_secs(300)),
            )
            .envelope(Envelope::identified_by_body().with_event_type("/event").with_payload("/payload"))
            .answer_deadline(Duration::from_secs(3))
            .retries(Retries::Documented { horizon: 85 * MINUTE, resigned: true })
            .documentation("https://developers.zoom.us/docs/api/webhooks"),
    )
}
