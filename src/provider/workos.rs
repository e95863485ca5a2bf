//! WorkOS: directories and sign-on.
//!
//! - Signature: `WorkOS-Signature: t=<Unix milliseconds>,v1=<hex>`, HMAC-SHA256 over `<t>.<body>`. Tolerance
//!   180 s, that of WorkOS' own libraries.
//! - Answer deadline: 30 s (third party), with exactly 200. Retries: 6 in 3 days (third party); with that
//!   tolerance they must be signed anew, which the documentation does not say.
//! - Event: `/id`; the type is at `/event`. `/created_at` is text, in more than one form.

use std::time::Duration;

use super::{DAY, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{SignatureScheme, TimestampUnit};

/// The WorkOS preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("workos")
            .signature(
                SignatureScheme::hmac_sha256("workos-signature")
                    .with_pairs("t", "v1")
                    .with_timestamp_unit(TimestampUnit::Millis)
                    .with_tolerance(Duration::from_secs(180)),
            )
            .envelope(Envelope::json("/id").with_event_type("/event").with_payload("/data"))
            .answer_deadline(Duration::from_secs(30))
            .retries(Retries::Documented { horizon: 3 * DAY, resigned: true })
            .documentation("https://workos.com/docs/events/data-syncing/webhooks"),
    )
}
