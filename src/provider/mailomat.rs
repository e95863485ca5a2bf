//! Mailomat: mail. **The body is not signed**: whoever captured a request can send another with any body,
//! within the tolerance.
//!
//! - Signature: `X-MOM-Webhook-Signature: sha256=<hex>`, HMAC-SHA256 over `<id>.<event>.<timestamp>`, all
//!   from headers. Tolerance 300 s.
//! - Answer deadline and retries: undocumented here.
//! - Event: id and type are in the headers `x-mom-webhook-id` and `x-mom-webhook-event`, which are signed.

use std::time::Duration;

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::{Part, SignatureScheme};

/// The Mailomat preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("mailomat")
            .signature(
                SignatureScheme::hmac_sha256("x-mom-webhook-signature")
                    .with_prefix("sha256=")
                    .with_timestamp_header("x-mom-webhook-timestamp")
                    .with_signed([
                        Part::header("x-mom-webhook-id"),
                        Part::literal("."),
                        Part::header("x-mom-webhook-event"),
                        Part::literal("."),
                        Part::Timestamp,
                    ])
                    .dangerous_body_not_signed()
                    .with_tolerance(Duration::from_secs(300)),
            )
            .envelope(
                Envelope::identified_by_header("x-mom-webhook-id")
                    .with_event_type_header("x-mom-webhook-event"),
            )
            .documentation("https://docs.mailomat.swiss"),
    )
}
