//! Standard Webhooks: the specification that Clerk (by way of [Svix](super::svix)), OpenAI, Anthropic, Supabase,
//! Dodo Payments and others follow. [Polar](super::polar), [Svix](super::svix) and [GitLab](super::gitlab) have presets
//! of their own.
//!
//! - Signature: `webhook-signature: v1,<base64>`, several separated by blanks, HMAC-SHA256 over
//!   `<webhook-id>.<webhook-timestamp>.<body>`, the key being the base64 after `whsec_`. Tolerance 300 s. With
//!   [`asymmetric`] `v1a,<base64>`, an Ed25519 signature over the same bytes; the secret is then the sender's public key,
//!   `whpk_` and base64.
//! - Answer deadline: the specification says 15 to 30 s. Retries: its example runs for 75 h 35 min, every attempt signed
//!   anew. A sender may do otherwise.
//! - Event: the header `webhook-id`, which is signed, the same on every attempt. The type is at `/type`, as the
//!   specification recommends: a sender whose bodies have none needs a description of its own. Handlers are given the
//!   whole body.

use std::time::Duration;

use super::{HOUR, MINUTE, Provider, ProviderBuilder, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::{Encoding, HeaderNames, KeyEncoding, Pairs, Part, SignatureScheme};

/// Standard Webhooks with a shared secret: `v1`.
///
/// ```
/// use std::time::SystemTime;
/// use tower_webhook::{Secret, provider::standard_webhooks, testing};
///
/// let secret = || Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
/// let provider = standard_webhooks::provider();
/// let request = testing::sign(&provider, &secret()?, r#"{"type":"invoice.paid"}"#);
/// let verified = provider.verifier(secret()?)?.verify(
///     request.headers(),
///     br#"{"type":"invoice.paid"}"#,
///     SystemTime::now(),
/// );
/// assert!(verified.is_ok());
/// # Ok::<(), tower_webhook::ConfigError>(())
/// ```
#[must_use]
pub fn provider() -> Provider {
    preset(builder().signature(symmetric()))
}

/// Standard Webhooks with the sender's public key: `v1a`.
#[cfg(feature = "ed25519")]
#[cfg_attr(docsrs, doc(cfg(feature = "ed25519")))]
#[must_use]
pub fn asymmetric() -> Provider {
    let scheme = SignatureScheme::ed25519("webhook-signature").with_key_prefix("whpk_");
    preset(builder().signature(message(scheme, "v1a", "webhook-id", "webhook-timestamp")))
}

fn builder() -> ProviderBuilder {
    Provider::builder("standard-webhooks")
        .envelope(Envelope::identified_by_header("webhook-id"))
        .answer_deadline(Duration::from_secs(15))
        .retries(Retries::Documented { horizon: 75 * HOUR + 35 * MINUTE, resigned: true })
        .documentation(
            "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
        )
}

/// The scheme as the specification has it.
pub(super) fn symmetric() -> SignatureScheme {
    let scheme = SignatureScheme::hmac_sha256("webhook-signature").with_key_prefix("whsec_");
    message(scheme, "v1", "webhook-id", "webhook-timestamp")
}

/// The specification's header, key and signed bytes, for a dialect with other names.
pub(super) fn message(
    scheme: SignatureScheme,
    version: &str,
    id: impl Into<HeaderNames>,
    timestamp: impl Into<HeaderNames>,
) -> SignatureScheme {
    scheme
        .with_grammar(Pairs::versions(version))
        .with_encoding(Encoding::Base64)
        .with_key_encoding(KeyEncoding::Base64)
        .with_timestamp_header(timestamp)
        .with_signed([Part::header(id), Part::literal("."), Part::Timestamp, Part::literal("."), Part::Body])
        .with_tolerance(Duration::from_secs(300))
}
