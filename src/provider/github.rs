//! GitHub. Choose the content type `application/json`: a form cannot be read with this preset.
//!
//! - Signature: `X-Hub-Signature-256: sha256=<hex>`, HMAC-SHA256 over the body. **No timestamp is signed**: a
//!   captured request stays valid, and the retention of done marks is the replay window.
//! - Answer deadline: 10 s. Retries: **never**. What is not accepted waits three days for a redelivery by
//!   hand or API, under the same id.
//! - Event: id and type are in headers, which are **not signed**: whoever captured a request can send it
//!   under another id or type. The digest of the body identifies it.

use std::time::Duration;

use super::{Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The GitHub preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("github")
            .signature(SignatureScheme::hmac_sha256("x-hub-signature-256").with_prefix("sha256="))
            .envelope(
                Envelope::identified_by_digest()
                    .with_unsigned_id_header("x-github-delivery")
                    .with_event_type_header("x-github-event"),
            )
            .answer_deadline(Duration::from_secs(10))
            .retries(Retries::Never)
            .documentation(
                "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
            ),
    )
}
