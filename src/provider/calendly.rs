//! Calendly: appointments.
//!
//! - Signature: `Calendly-Webhook-Signature: t=<Unix seconds>,v1=<hex>`, HMAC-SHA256 over `<t>.<body>`.
//!   Tolerance 180 s.
//! - Answer deadline: 15 s (third party). Retries: for 24 h, also after 4xx (third party); with that
//!   tolerance they must be signed anew, which the documentation does not say.
//! - Event: there is no id. The body names the invitee, the change and its time, so that its digest
//!   identifies it.

use std::time::Duration;

use super::{DAY, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Calendly preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("calendly")
            .signature(
                SignatureScheme::hmac_sha256("calendly-webhook-signature")
                    .with_pairs("t", "v1")
                    .with_tolerance(Duration::from_secs(180)),
            )
            .envelope(Envelope::identified_by_body().with_event_type("/event").with_payload("/payload"))
            .answer_deadline(Duration::from_secs(15))
            .retries(Retries::Documented { horizon: DAY, resigned: true })
            .documentation("https://developer.calendly.com/api-docs/ZG9jOjQ2NDA2NA-webhook-signatures"),
    )
}
