//! Paddle (Billing): payments. Paddle Classic is another product, with another signature.
//!
//! - Signature: `Paddle-Signature: ts=<Unix seconds>;h1=<hex>`, HMAC-SHA256 over `<ts>:<body>`. Tolerance 5
//!   s, that of Paddle's own libraries: the clock must be right, or the tolerance
//!   [wider](Provider::with_tolerance).
//! - Answer deadline: 5 s, with exactly 200. Retries: 60 in 3 days in live mode. Whether they are signed anew
//!   is not said; with that tolerance they must be.
//! - Event: `/event_id`, the same at every destination and in a manual replay; `/notification_id` is not.

use std::time::Duration;

use super::{DAY, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Pairs, Part, SignatureScheme};

/// The Paddle preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("paddle")
            .signature(
                SignatureScheme::hmac_sha256("paddle-signature")
                    .with_grammar(Pairs::new("h1").with_timestamp("ts").with_separators(b';', b'='))
                    .with_signed([Part::Timestamp, Part::literal(":"), Part::Body])
                    .with_tolerance(Duration::from_secs(5)),
            )
            .envelope(Envelope::json("/event_id").with_event_type("/event_type").with_payload("/data"))
            .answer_deadline(Duration::from_secs(5))
            .retries(Retries::Documented { horizon: 3 * DAY, resigned: true })
            .documentation("https://developer.paddle.com/webhooks/signature-verification"),
    )
}
