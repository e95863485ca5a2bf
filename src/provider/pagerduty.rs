//! PagerDuty: webhooks v3.
//!
//! - Signature: `X-PagerDuty-Signature: v1=<hex>,v1=<hex>`, HMAC-SHA256 over the body. **No timestamp is
//!   signed**: a captured request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline: 5 s. Retries: for 48 h, after 5xx, 429 and timeouts; any other 4xx is final, and three
//!   in a row disable the webhook for a day.
//! - Event: `/event/id`, the same on every attempt.

use std::time::Duration;

use super::{DAY, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Pairs, SignatureScheme};

/// The PagerDuty preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("pagerduty")
            .signature(SignatureScheme::hmac_sha256("x-pagerduty-signature").with_grammar(Pairs::new("v1")))
            .envelope(
                Envelope::json("/event/id").with_event_type("/event/event_type").with_payload("/event/data"),
            )
            .answer_deadline(Duration::from_secs(5))
            .retries(Retries::Documented { horizon: 2 * DAY, resigned: false })
            .documentation("https://docs.pagerduty.com/developer/verifying-webhook-signatures"),
    )
}
