//! Telegram: the Bot API, with the `secret_token` of `setWebhook`.
//!
//! - Token: `X-Telegram-Bot-Api-Secret-Token`, the secret itself. **Nothing is signed**: whoever sees one request can
//!   send others with any body.
//! - Answer deadline: undocumented here. Retries: "a reasonable amount".
//! - Event: `/update_id`, a number, the same when an update is sent again. Which kind of update it is, is the name of
//!   the member beside it, so that every event is of the type `telegram.update` and handlers are given the whole body.

use super::{Provider, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// Telegram with a secret token, the only form there is. **Dangerous: nothing is signed**, see
/// [`SignatureScheme::dangerous_token`].
#[must_use]
pub fn dangerous_token() -> Provider {
    preset(
        Provider::builder("telegram")
            .signature(SignatureScheme::dangerous_token("x-telegram-bot-api-secret-token"))
            .envelope(
                Envelope::json("/update_id").with_numeric_ids().with_constant_event_type("telegram.update"),
            )
            .documentation("https://core.telegram.org/bots/api#setwebhook"),
    )
}
