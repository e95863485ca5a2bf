//! How SendGrid signs its event webhook: ECDSA over P-256 and SHA-256, of the timestamp and then the body. The
//! signature is DER in base64, and so is the public key that the dashboard shows.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderName;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{DerSignature, VerifyingKey};
use p256::pkcs8::DecodePublicKey as _;
use tower_webhook::{Authentic, RejectionReason, Secret, TimestampUnit, Unverified, Verify};

pub(crate) static SIGNATURE: HeaderName = HeaderName::from_static("x-twilio-email-event-webhook-signature");
pub(crate) static TIMESTAMP: HeaderName = HeaderName::from_static("x-twilio-email-event-webhook-timestamp");

/// The [`Secret`] is SendGrid's public key, as the dashboard shows it.
///
/// Nothing here is compared in constant time, since there is nothing to hide: who verifies holds no secret.
#[derive(Debug)]
pub(crate) struct SendGrid {
    tolerance: Duration,
}

impl SendGrid {
    /// Accepts what was signed within `tolerance` of now.
    pub(crate) fn new(tolerance: Duration) -> Self {
        Self { tolerance }
    }
}

impl Verify for SendGrid {
    fn signature_header(&self) -> &HeaderName {
        &SIGNATURE
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), &'static str> {
        public_key(secret).map(drop).ok_or("a P-256 public key, DER in base64")
    }

    fn tolerance(&self) -> Option<Duration> {
        Some(self.tolerance)
    }

    fn describe(&self) -> String {
        "ECDSA P-256 with SHA-256 in base64 over {timestamp}{body}".to_owned()
    }

    fn verify(&self, request: &Unverified<'_>, secret: &Secret) -> Result<Authentic, RejectionReason> {
        let mismatch = RejectionReason::SignatureMismatch;
        let timestamp = request.header(&TIMESTAMP)?;
        let signature = STANDARD.decode(request.header(&SIGNATURE)?).map_err(|_| mismatch)?;
        let signature = DerSignature::try_from(signature.as_slice()).map_err(|_| mismatch)?;
        let key = public_key(secret).ok_or(mismatch)?;
        let signed = [timestamp, request.body()].concat();
        key.verify(&signed, &signature).map_err(|_| mismatch)?;
        let signed_at = request.check_timestamp(timestamp, TimestampUnit::Seconds, self.tolerance)?;
        Ok(Authentic::new().with_signed_at(signed_at))
    }
}

fn public_key(secret: &Secret) -> Option<VerifyingKey> {
    VerifyingKey::from_public_key_der(&STANDARD.decode(secret.expose()).ok()?).ok()
}
