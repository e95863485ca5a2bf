//! GitLab, with a signing token (GitLab 19.0 and later), or with the older secret token.
//!
//! - Signature of [`provider`]: [Standard Webhooks](super::standard_webhooks). Tolerance 300 s.
//! - Token of [`dangerous_token`]: `X-Gitlab-Token`, the secret itself. **Nothing is signed**: whoever sees one request
//!   can send others with any body.
//! - Answer deadline: 10 s on GitLab.com, configurable elsewhere. Retries: no schedule is documented; four failures in a
//!   row disable the webhook for a while.
//! - Event: with a signing token the header `webhook-id`, which is signed, the same on retries; with a secret token
//!   the header `idempotency-key`, which has the same id, and is no less signed than the rest. `X-Gitlab-Event-UUID` is shared by
//!   the webhooks that one event sets off, and is no id of an event.
//! - Type: at `/object_kind`. The events of members, subgroups and projects have none and cannot be read with this
//!   preset.

use std::time::Duration;

use super::standard_webhooks::symmetric;
use super::{Provider, ProviderBuilder, preset};
use crate::envelope::Envelope;
use crate::signature::SignatureScheme;

/// GitLab with a signing token.
#[must_use]
pub fn provider() -> Provider {
    preset(builder().signature(symmetric()).envelope(typed(Envelope::identified_by_header("webhook-id"))))
}

/// GitLab with a secret token. **Dangerous: nothing is signed**, see [`SignatureScheme::dangerous_token`].
#[must_use]
pub fn dangerous_token() -> Provider {
    // Nothing is signed, so that nothing is lost by trusting the header; and bodies may repeat.
    let envelope = Envelope::unidentified().with_unsigned_id_header("idempotency-key");
    let provider = preset(
        builder().signature(SignatureScheme::dangerous_token("x-gitlab-token")).envelope(typed(envelope)),
    );
    provider
        .identify_by_unsigned_header()
        .unwrap_or_else(|error| unreachable!("the header is named above: {error}"))
}

fn typed(envelope: Envelope) -> Envelope {
    envelope.with_event_type("/object_kind")
}

fn builder() -> ProviderBuilder {
    Provider::builder("gitlab")
        .answer_deadline(Duration::from_secs(10))
        .documentation("https://docs.gitlab.com/user/project/integrations/webhooks/")
}
