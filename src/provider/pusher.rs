//! Pusher Channels.
//!
//! - Signature: `X-Pusher-Signature: <hex>`, HMAC-SHA256 over the body. **No timestamp is signed**: a
//!   captured request stays valid, and the retention of done marks is the replay window.
//! - Key: the header `x-pusher-key` names the app's key whose secret signed. **The label of a secret must be
//!   that key**, or every request is refused: see [`provider`].
//! - Answer deadline: 4 s (a sister product says 3 s). Retries: for 5 min.
//! - Event: a body holds several events without ids. One delivery of the type `pusher.events`, the whole
//!   body, told from others by its digest.

use std::time::Duration;

use super::{MINUTE, Provider, Retries, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// The Pusher preset.
///
/// ```
/// use tower_webhook::{Secret, Secrets, provider::pusher};
///
/// let app_key = "278d425bdf160c739803";
/// let secret = Secret::new("the-secret-of-this-key")?;
/// let verifier = pusher::provider().verifier(Secrets::labelled([(app_key.to_owned(), secret)])?);
/// assert!(verifier.is_ok());
/// # Ok::<(), tower_webhook::ConfigError>(())
/// ```
#[must_use]
pub fn provider() -> Provider {
    preset(
        Provider::builder("pusher")
            .signature(SignatureScheme::hmac_sha256("x-pusher-signature").with_key_id_header("x-pusher-key"))
            .envelope(Envelope::identified_by_digest().opaque("pusher.events"))
            .answer_deadline(Duration::from_secs(3))
            .retries(Retries::Documented { horizon: 5 * MINUTE, resigned: false })
            .documentation("https://pusher.com/docs/channels/server_api/webhooks/"),
    )
}
