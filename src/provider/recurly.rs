//! Recurly: subscriptions.
//!
//! - Signature: `recurly-signature: <Unix milliseconds>,<hex>,<hex>..`, HMAC-SHA256 over `<time>.<body>`.
//!   Tolerance 300 s.
//! - Answer deadline: undocumented here. Retries: 10, over three days by the documented formula; with that
//!   tolerance they must be signed anew, which the documentation does not say.
//! - Event: classic notifications are XML. The body is not read: one delivery of the type `recurly.events`,
//!   told from others by the digest of what is signed, so that a retry runs again.

use std::time::Duration;

use super::{Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{List, SignatureScheme, TimestampUnit};

/// The Recurly preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("recurly")
            .signature(
                SignatureScheme::hmac_sha256("recurly-signature")
                    .with_grammar(List::new().with_timestamp_first())
                    .with_timestamp_unit(TimestampUnit::Millis)
                    .with_tolerance(Duration::from_secs(300)),
            )
            .envelope(Envelope::identified_by_digest().opaque("recurly.events"))
            .retries(Retries::Documented { horizon: Duration::from_secs(262_308), resigned: true })
            .documentation(
                "https://docs.recurly.com/recurly-subscriptions/docs/signature-headers-security-method",
            ),
    )
}
