//! A scheme and its secrets together: the verification of one request, streamed or at once.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;

use super::header::Presented;
use super::mac::{Keyring, Macs};
use super::scheme::ResolvedScheme;
use super::secret::Secrets;
use super::timestamp::check_window;
use crate::error::{Rejection, RejectionReason};

/// Verifies signatures alone, without a layer: for a function that is handed headers and a body, or a tool that
/// looks into a captured request. From [`Provider::verifier`](crate::Provider::verifier).
///
/// Cheap to clone. It keeps keyed hash states, not the secrets.
///
/// ```
/// use std::time::SystemTime;
/// use tower_webhook::{RejectionReason, Secret, caspay, testing};
///
/// let secret = || Secret::new("a-signing-secret");
/// let verifier = caspay::provider().verifier(secret()?);
///
/// let request = testing::sign(&caspay::provider(), &secret()?, "{}");
/// let proof = verifier.verify(request.headers(), b"{}", SystemTime::now()).unwrap();
/// assert_eq!(proof.secret_label(), "current");
///
/// let forged = verifier.verify(request.headers(), b"{ }", SystemTime::now()).unwrap_err();
/// assert_eq!(forged.reason(), RejectionReason::SignatureMismatch);
/// # Ok::<(), tower_webhook::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Verifier {
    scheme: Arc<ResolvedScheme>,
    keyring: Arc<Keyring>,
}

impl Verifier {
    pub(crate) fn new(scheme: ResolvedScheme, secrets: &Secrets) -> Self {
        Self { scheme: Arc::new(scheme), keyring: Arc::new(Keyring::new(secrets)) }
    }

    /// Verifies the exact bytes of a body against the headers that came with it, at the time `now`.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] with the reason; it must not be told to the sender.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Result<Proof, Rejection> {
        let verify = || {
            let presented = self.present(headers)?;
            let mut verification = self.begin(&presented);
            verification.update(body);
            verification.finish(now)
        };
        verify().map_err(Rejection::new)
    }

    /// Reads the signature header: all that can be known before the body.
    #[inline]
    pub(crate) fn present(&self, headers: &HeaderMap) -> Result<Presented, RejectionReason> {
        self.scheme.present(headers)
    }

    /// Starts a MAC for every secret.
    #[inline]
    pub(crate) fn begin<'v>(&'v self, presented: &'v Presented) -> Verification<'v> {
        let mut verification = Verification { verifier: self, presented, macs: self.keyring.begin() };
        self.scheme.feed_before_body(&mut verification.macs, verification.presented.timestamp_text());
        verification
    }

    /// How many MACs a verification computes.
    pub(crate) fn secrets(&self) -> usize {
        self.keyring.len()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("header", self.scheme.header())
            .field("secrets", &self.keyring)
            .finish_non_exhaustive()
    }
}

/// A verification whose body is still arriving.
pub(crate) struct Verification<'v> {
    verifier: &'v Verifier,
    presented: &'v Presented,
    macs: Macs,
}

impl Verification<'_> {
    #[inline]
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.macs.update(bytes);
    }

    /// The timestamp that was presented; authentic once [`finish`](Self::finish) has not said otherwise.
    pub(crate) fn presented_at(&self) -> Option<u64> {
        self.presented.timestamp.as_ref().map(|timestamp| timestamp.seconds)
    }

    /// The MAC first, then the timestamp: stale but authentic is a reason of its own.
    #[inline]
    pub(crate) fn finish(&mut self, now: SystemTime) -> Result<Proof, RejectionReason> {
        let Self { verifier: Verifier { scheme, keyring }, presented, macs } = self;
        scheme.feed_after_body(macs, presented.timestamp_text());
        let secret = macs.matches(&presented.candidates).ok_or(RejectionReason::SignatureMismatch)?;
        let signed_at = presented.timestamp.as_ref().map(|timestamp| timestamp.seconds);
        if let (Some(signed), Some(tolerance)) = (signed_at, scheme.tolerance()) {
            check_window(signed, now, tolerance)?;
        }
        Ok(Proof { secret_label: Arc::clone(keyring.label(secret)), signed_at })
    }
}

/// That a body is authentic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    secret_label: Arc<str>,
    signed_at: Option<u64>,
}

impl Proof {
    /// The label of the secret that matched.
    #[must_use]
    pub fn secret_label(&self) -> &str {
        &self.secret_label
    }

    /// The timestamp that was signed, in Unix seconds, where the scheme signs one.
    #[must_use]
    pub fn signed_at(&self) -> Option<u64> {
        self.signed_at
    }

    pub(crate) fn label(&self) -> &Arc<str> {
        &self.secret_label
    }

    pub(crate) fn into_parts(self) -> (Arc<str>, Option<u64>) {
        (self.secret_label, self.signed_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{Encoding, Part, Secret, SignatureScheme};
    use std::time::Duration;

    // HMAC-SHA256 under "0123456789abcdef", by Python's hmac.
    const BODY: &str = "c34c3195f4d0282ae2dee7ddba19f07877594896ece7578eed7044843650c708";
    const STAMPED: &str = "eba557db1f2d733c0b5a666469744627a020cfe6764be44fba992b21bf2deb6f";
    const AROUND: &str = "D3lMjeGGIepp1t2mf2FmlLfPhHEclyxvgkNCzjsPOWM=";

    #[allow(clippy::unwrap_in_result, reason = "what is unwrapped is not what is tested")]
    fn verify(scheme: SignatureScheme, header: &str, now: u64) -> Result<Proof, RejectionReason> {
        let secrets = Secrets::new(Secret::new("another signing secret").unwrap())
            .with_secret("right", Secret::new("0123456789abcdef").unwrap())
            .unwrap();
        let verifier = Verifier::new(scheme.resolve().unwrap(), &secrets);
        assert_eq!(verifier.secrets(), 2);
        let headers = HeaderMap::from_iter([(http::header::ETAG, header.parse().unwrap())]);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
        verifier.verify(&headers, b"body", now).map_err(|rejection| rejection.reason())
    }

    fn scheme() -> SignatureScheme {
        SignatureScheme::hmac_sha256("etag")
    }

    #[test]
    fn the_body_alone() {
        let proof = verify(scheme(), BODY, 0).unwrap();
        assert_eq!((proof.secret_label(), proof.signed_at()), ("right", None));
        assert_eq!(verify(scheme(), STAMPED, 0), Err(RejectionReason::SignatureMismatch));
        assert_eq!(verify(scheme(), "", 0), Err(RejectionReason::MalformedHeader));
    }

    #[test]
    fn a_timestamp_and_the_body() {
        let stamped =
            |now| verify(scheme().with_pairs("t", "v1"), &format!("t=1700000000,v1={STAMPED}"), now);
        let proof = stamped(1_700_000_000).unwrap();
        assert_eq!((proof.secret_label(), proof.signed_at()), ("right", Some(1_700_000_000)));
        assert_eq!(stamped(1_700_000_301), Err(RejectionReason::TimestampTooOld));
        assert_eq!(stamped(1_699_999_699), Err(RejectionReason::TimestampInFuture));
        let bare = verify(scheme().with_pairs("t", "v1"), &format!("t=1700000000,v1={BODY}"), 0);
        assert_eq!(bare, Err(RejectionReason::SignatureMismatch), "the MAC comes before the time");
    }

    #[test]
    fn parts_on_both_sides_of_the_body() {
        let parts = [Part::literal("a"), Part::Timestamp, Part::Body, Part::literal("|"), Part::Timestamp];
        let scheme = scheme()
            .with_pairs("t", "v1")
            .with_signed(parts)
            .with_encoding(Encoding::Base64)
            .with_tolerance(Duration::from_secs(1));
        let header = format!("t=1700000000,v1={AROUND}");
        assert!(verify(scheme.clone(), &header, 1_700_000_001).is_ok());
        assert_eq!(verify(scheme, &header, 1_700_000_002), Err(RejectionReason::TimestampTooOld));
    }

    #[test]
    fn debug_shows_labels_alone() {
        let verifier =
            Verifier::new(scheme().resolve().unwrap(), &Secret::new("0123456789abcdef").unwrap().into());
        let debug = format!("{verifier:?}");
        assert!(debug.contains("current") && !debug.contains("0123456789abcdef"), "{debug}");
    }
}
