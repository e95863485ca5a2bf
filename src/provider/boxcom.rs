//! Box: files (`box` in the catalogue, which is a keyword in Rust).
//!
//! - Signature: `box-signature-primary` and `box-signature-secondary: <base64>`, one for each key of the
//!   application, HMAC-SHA256 over the body and `box-delivery-timestamp`, a date. `box-signature-version`
//!   must be 1, `box-signature-algorithm` `HmacSHA256`. Tolerance 600 s.
//! - Answer deadline and retries: undocumented here; retries are signed anew.
//! - Event: `/id` in the body stays the same on retries; `box-delivery-id` does not. The type is at
//!   `/trigger`.

use std::time::Duration;

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, Part, SignatureScheme, TimestampUnit};

/// The Box preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("box")
            .signature(
                SignatureScheme::hmac_sha256("box-signature-primary")
                    .with_further_headers(["box-signature-secondary"])
                    .with_required_header("box-signature-version", "1")
                    .with_required_header("box-signature-algorithm", "HmacSHA256")
                    .with_encoding(Encoding::Base64)
                    .with_timestamp_header("box-delivery-timestamp")
                    .with_timestamp_unit(TimestampUnit::Rfc3339)
                    .with_signed([Part::Body, Part::Timestamp])
                    .with_tolerance(Duration::from_secs(600)),
            )
            .envelope(Envelope::json("/id").with_event_type("/trigger").with_payload("/source"))
            .documentation("https://developer.box.com/guides/webhooks/v2/signatures-v2"),
    )
}
