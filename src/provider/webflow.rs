//! Webflow: sites. Webhooks that are made in the dashboard are **not signed**: register them by API or OAuth
//! app.
//!
//! - Signature: `x-webflow-signature: <hex>`, HMAC-SHA256 over `<x-webflow-timestamp>:<body>`, the time in
//!   milliseconds. Tolerance 300 s.
//! - Answer deadline: 30 s. Retries: 3, 10 min apart (both third party); the timestamp is documented as the
//!   time of sending.
//! - Event: there is no id, and not every body has a time: the digest of what is signed identifies a request,
//!   so that a retry runs again.

use std::time::Duration;

use super::{MINUTE, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Part, SignatureScheme, TimestampUnit};

/// The Webflow preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("webflow")
            .signature(
                SignatureScheme::hmac_sha256("x-webflow-signature")
                    .with_timestamp_header("x-webflow-timestamp")
                    .with_timestamp_unit(TimestampUnit::Millis)
                    .with_signed([Part::Timestamp, Part::literal(":"), Part::Body])
                    .with_tolerance(Duration::from_secs(300)),
            )
            .envelope(
                Envelope::identified_by_digest().with_event_type("/triggerType").with_payload("/payload"),
            )
            .answer_deadline(Duration::from_secs(30))
            .retries(Retries::Documented { horizon: 30 * MINUTE, resigned: true })
            .documentation("https://developers.webflow.com/data/docs/working-with-webhooks"),
    )
}
