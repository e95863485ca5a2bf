//! HubSpot: signature v3.
//!
//! - Signature: `X-HubSpot-Signature-v3: <base64>`, HMAC-SHA256 over the method, the URL, the body and
//!   `x-hubspot-request-timestamp`, in milliseconds. [`Provider::with_public_url`] must name it, letter for
//!   letter as it is registered. HubSpot decodes some escaped characters of it first: avoid them. Tolerance
//!   300 s.
//! - Answer deadline: 5 s. Retries: 10 in 24 h, also after 4xx (third party); with that tolerance they must
//!   be signed anew, which the documentation does not say.
//! - Event: a body is an array of up to 100 events, whose `eventId` is not guaranteed to be unique. One
//!   delivery of the type `hubspot.events`, the whole body, told from others by the digest of what is signed,
//!   so that a retry runs again.

use std::time::Duration;

use super::{DAY, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, Part, SignatureScheme, TimestampUnit};

/// The HubSpot preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("hubspot")
            .signature(
                SignatureScheme::hmac_sha256("x-hubspot-signature-v3")
                    .with_encoding(Encoding::Base64)
                    .with_timestamp_header("x-hubspot-request-timestamp")
                    .with_timestamp_unit(TimestampUnit::Millis)
                    .with_signed([Part::Method, Part::Url, Part::Body, Part::Timestamp])
                    .with_tolerance(Duration::from_secs(300)),
            )
            .envelope(Envelope::identified_by_digest().opaque("hubspot.events"))
            .answer_deadline(Duration::from_secs(5))
            .retries(Retries::Documented { horizon: DAY, resigned: true })
            .documentation(
                "https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests",
            ),
    )
}
