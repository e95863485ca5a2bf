//! Mux: video.
//!
//! - Signature: `Mux-Signature: t=<Unix seconds>,v1=<hex>`, HMAC-SHA256 over `<t>.<body>`. Tolerance 300 s.
//! - Answer deadline and retries: undocumented here.
//! - Event: `/id`. The list `/attempts` may grow from attempt to attempt: the same id arrives with other
//!   bytes.

use std::time::Duration;

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Mux preset.
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("mux")
            .signature(
                SignatureScheme::hmac_sha256("mux-signature")
                    .with_pairs("t", "v1")
                    .with_tolerance(Duration::from_secs(300)),
            )
            .envelope(Envelope::json("/id").with_payload("/data"))
            .documentation("https://www.mux.com/docs/core/verify-webhook-signatures"),
    )
}
