//! Slack: the Events API.
//!
//! - Signature: `X-Slack-Signature: v0=<hex>`, HMAC-SHA256 over `v0:<X-Slack-Request-Timestamp>:<body>`.
//!   Tolerance 300 s.
//! - Answer deadline: 3 s. Retries: at once, after 1 min and after 5 min (third party); the last is later
//!   than the tolerance and must be signed anew, which the documentation does not say.
//! - Event: `/event_id`; the type is that of the event inside, at `/event/type`. Slash commands and
//!   interactivity are forms, signed alike, and cannot be read with this preset; neither can
//!   `app_rate_limited`, which has no event.
//! - The Events API alone: slash commands and interactions are forms, and `app_rate_limited` has no event; they cannot
//!   be read with this preset.
//! - Handshake: `url_verification`, a signed POST, answered with its challenge.

use std::time::Duration;

use super::{Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::handshake::Handshake;
use crate::signature::{Part, SignatureScheme};

/// The Slack preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("slack")
            .signature(
                SignatureScheme::hmac_sha256("x-slack-signature")
                    .with_prefix("v0=")
                    .with_timestamp_header("x-slack-request-timestamp")
                    .with_signed([Part::literal("v0:"), Part::Timestamp, Part::literal(":"), Part::Body])
                    .with_tolerance(Duration::from_secs(300)),
            )
            .envelope(
                Envelope::json("/event_id")
                    .with_event_type("/event/type")
                    .with_payload("/event")
                    .with_created("/event_time"),
            )
            .answer_deadline(Duration::from_secs(3))
            .retries(Retries::Documented { horizon: Duration::from_secs(360), resigned: true })
            .handshake(Handshake::challenge("/type", "url_verification", "/challenge").in_member("challenge"))
            .documentation("https://docs.slack.dev/authentication/verifying-requests-from-slack"),
    )
}
