//! Twitch: EventSub.
//!
//! - Signature: `Twitch-Eventsub-Message-Signature: sha256=<hex>`, HMAC-SHA256 over the message's id, its
//!   timestamp (a date) and the body. Tolerance 600 s.
//! - Answer deadline: a few seconds. Retries: some, for how long is not said; too many failures revoke the
//!   subscription.
//! - Event: the header `twitch-eventsub-message-id`, which is signed, the same when it is sent again. The
//!   type is in the body, at `/subscription/type`. The header `twitch-eventsub-message-type` is **not
//!   signed**: a revocation can only be told from a notification by its body, which has no `/event`. Handlers
//!   are given the whole body.

use std::time::Duration;

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::{Part, SignatureScheme, TimestampUnit};

/// The Twitch preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("twitch")
            .signature(
                SignatureScheme::hmac_sha256("twitch-eventsub-message-signature")
                    .with_prefix("sha256=")
                    .with_timestamp_header("twitch-eventsub-message-timestamp")
                    .with_timestamp_unit(TimestampUnit::Rfc3339)
                    .with_signed([Part::header("twitch-eventsub-message-id"), Part::Timestamp, Part::Body])
                    .with_tolerance(Duration::from_secs(600)),
            )
            .envelope(
                Envelope::identified_by_header("twitch-eventsub-message-id")
                    .with_event_type("/subscription/type"),
            )
            .documentation("https://dev.twitch.tv/docs/eventsub/handling-webhook-events"),
    )
}
