//! Revolut: Business and Merchant.
//!
//! - Signature: `Revolut-Signature: v1=<hex>,v1=<hex>`, HMAC-SHA256 over
//!   `v1.<Revolut-Request-Timestamp>.<body>`, the time in milliseconds. Tolerance 300 s.
//! - Answer deadline: undocumented here. Retries: 3, 10 min apart (third party); with that tolerance they
//!   must be signed anew, which the documentation does not say.
//! - Event: there is no id, and Merchant's bodies have no time: the digest of what is signed identifies a
//!   request, so that a retry runs again.

use std::time::Duration;

use super::{MINUTE, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Pairs, Part, SignatureScheme, TimestampUnit};

/// The Revolut preset.
#[must_use]
pub fn provider() -> Provider {
    preset(Provider::builder("revolut").signature(SignatureScheme::hmac_sha256("revolut-signature").with_grammar(Pairs::new("v1")).with_timestamp_header("revolut-request-timestamp").with_timestamp_unit(TimestampUnit::Millis).with_signed([Part::literal("v1."), Part::Timestamp, Part::literal("."), Part::Body]).with_tolerance(Duration::from_secs(300))).envelope(Envelope::identified_by_digest().with_event_type("/event")).retries(Retries::Documented { horizon: 30 * MINUTE, resigned: true }).documentation("https://developer.revolut.com/docs/guides/merchant/monitor-and-observe/webhooks/verify-the-payload-signature"))
}
