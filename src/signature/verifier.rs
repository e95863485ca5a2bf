//! An authenticator and its keys together: the verification of one request, streamed or at once.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use http::{HeaderMap, Method, Request, Uri};
use sha2::{Digest, Sha256};

use super::authenticator::Authenticator;
use super::awaiting::Awaiting;
use super::keyring::{Eligible, Key, Keyring};
use super::mac::MacState;
use super::resolved::Presented;
#[cfg(feature = "ed25519")]
use super::resolved::ResolvedScheme;
use super::secret::Secrets;
use super::template::{Head, PublicUrl};
use super::timestamp::SignedTimestamp;
use super::usage::SecretUsage;
use super::verify::{self, Unverified, Verify};
use crate::error::{ConfigError, Rejection, RejectionReason};

/// Verifies signatures alone, without a layer: for a function that is handed headers and a body, or a tool that
/// looks into a captured request. From [`Provider::verifier`](crate::Provider::verifier), or from a layer, whose
/// secrets it can [replace](Self::replace_secrets).
///
/// Cheap to clone; clones share their secrets. It keeps keyed hash states, not the secrets.
///
/// ```
/// use std::time::SystemTime;
/// use tower_webhook::{RejectionReason, Secret, caspay, testing};
///
/// let secret = || Secret::new("a-signing-secret");
/// let verifier = caspay::provider().verifier(secret()?)?;
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
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) shared: Arc<Shared>,
}

/// What clones of a verifier have in common.
pub(super) struct Shared {
    keyring: ArcSwap<Keyring>,
    /// Changes of the keyring, each of which goes by what it replaces.
    pub(super) changing: Mutex<()>,
    /// What is read to be fed, by one at a time, whichever sinks there are: the last one to feed has read last.
    #[cfg(feature = "endpoints")]
    pub(super) feeding: Mutex<()>,
}

impl Shared {
    fn new(keyring: Keyring) -> Arc<Self> {
        Arc::new(Self {
            keyring: ArcSwap::from_pointee(keyring),
            changing: Mutex::default(),
            #[cfg(feature = "endpoints")]
            feeding: Mutex::default(),
        })
    }
}

impl Verifier {
    pub(crate) fn new(authenticator: Authenticator, secrets: Secrets) -> Result<Self, ConfigError> {
        let keyring = authenticator.keyring(secrets)?;
        Ok(Self { authenticator: Arc::new(authenticator), shared: Shared::new(keyring) })
    }

    /// One by which nothing verifies, for a layer whose secrets are its tenants'.
    pub(crate) fn decoy(authenticator: Authenticator) -> Result<Self, ConfigError> {
        let keyring = authenticator.decoy()?;
        Ok(Self { authenticator: Arc::new(authenticator), shared: Shared::new(keyring) })
    }

    /// Verifies the exact bytes of a body against the headers that came with it, at the time `now`. The method is taken
    /// to be POST.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] with the reason; it must not be told to the sender.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Result<Proof, Rejection> {
        static ROOT: std::sync::LazyLock<Uri> = std::sync::LazyLock::new(Uri::default);
        self.verify_head(Head { method: &Method::POST, uri: &ROOT, headers }, body, now)
    }

    /// As [`verify`](Self::verify), with the method and the URI that the request has.
    ///
    /// # Errors
    ///
    /// A [`Rejection`] with the reason; it must not be told to the sender.
    pub fn verify_request<B: AsRef<[u8]>>(
        &self,
        request: &Request<B>,
        now: SystemTime,
    ) -> Result<Proof, Rejection> {
        let head = Head { method: request.method(), uri: request.uri(), headers: request.headers() };
        self.verify_head(head, request.body().as_ref(), now)
    }

    fn verify_head(&self, head: Head<'_>, body: &[u8], now: SystemTime) -> Result<Proof, Rejection> {
        let presented = match self.authenticator.present(head.headers) {
            Ok(presented) => presented,
            Err(reason) => return Err(Rejection::new(reason)),
        };
        let keyring = self.shared.keyring.load();
        let mut verification = Verification::begin(&self.authenticator, &keyring, &presented, head, || now);
        verification.update(body);
        verification.finish(body, now).proof.map_err(Rejection::new)
    }

    /// Accepts these secrets from now on, and no others: what has begun to be verified is finished by the old ones. It
    /// holds for every clone, and for the layer that this came from.
    ///
    /// # Errors
    ///
    /// As [`Provider::verifier`](crate::Provider::verifier); the old secrets then stay. [`ConfigError::SecretsOfTenants`]
    /// for a layer that asks a [`SecretSource`](crate::SecretSource).
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use tower_webhook::{ConfigError, Secret, Secrets, caspay, testing};
    ///
    /// let (old, new) = (|| Secret::new("the-old-signing-secret"), || Secret::new("the-new-signing-secret"));
    /// let verifier = caspay::provider().verifier(old()?)?;
    /// let is_authentic = |secret| {
    ///     let request = testing::sign(&caspay::provider(), &secret, "{}");
    ///     verifier.verify(request.headers(), b"{}", SystemTime::now()).is_ok()
    /// };
    /// assert!(is_authentic(old()?) && !is_authentic(new()?));
    ///
    /// verifier.replace_secrets(Secrets::new(new()?).with_secret("old", old()?)?)?; // while the provider switches
    /// assert!(is_authentic(old()?) && is_authentic(new()?));
    ///
    /// verifier.replace_secrets(new()?)?; // when `old` has been quiet
    /// assert!(!is_authentic(old()?) && is_authentic(new()?));
    /// # Ok::<(), ConfigError>(())
    /// ```
    pub fn replace_secrets(&self, secrets: impl Into<Secrets>) -> Result<(), ConfigError> {
        let secrets = secrets.into();
        self.change(|replaced| Ok(self.authenticator.keyring(secrets)?.with_usage_of(replaced)))
    }

    /// Says of the secrets that are accepted now that one more [is on its way](Secrets::awaiting_another), until they are
    /// [replaced](Self::replace_secrets). Does nothing for a layer that asks a [`SecretSource`](crate::SecretSource).
    pub fn await_another(&self) {
        // Of the secrets of tenants each look-up says so itself.
        _ = self.change(|keyring| Ok(keyring.clone().with_awaiting(Awaiting::Another)));
    }

    /// Replaces the keys by what `changed` makes of them, while nobody else does.
    pub(super) fn change(
        &self,
        changed: impl FnOnce(&Keyring) -> Result<Keyring, ConfigError>,
    ) -> Result<(), ConfigError> {
        let _changing = self.shared.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let keyring = self.shared.keyring.load();
        if keyring.is_decoy() {
            return Err(ConfigError::SecretsOfTenants);
        }
        self.shared.keyring.store(Arc::new(changed(&keyring)?));
        Ok(())
    }

    /// When the secret with this label verified something last, so that a rotation can be finished. Secrets that are
    /// replaced by others of the same label go on being watched. `None` for a label that there is not.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use tower_webhook::{Secret, caspay, testing};
    ///
    /// let secret = || Secret::new("a-signing-secret");
    /// let verifier = caspay::provider().verifier(secret()?)?;
    /// assert_eq!(verifier.secret_usage("current").unwrap().last_used(), None);
    ///
    /// let request = testing::sign(&caspay::provider(), &secret()?, "{}");
    /// assert!(verifier.verify(request.headers(), b"{}", SystemTime::now()).is_ok());
    /// assert!(verifier.secret_usage("current").unwrap().last_used().is_some());
    /// # Ok::<(), tower_webhook::ConfigError>(())
    /// ```
    #[must_use]
    pub fn secret_usage(&self, label: &str) -> Option<SecretUsage> {
        self.shared.keyring.load().usage(label)
    }

    pub(crate) fn keyring(&self) -> Arc<Keyring> {
        self.shared.keyring.load_full()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("header", self.authenticator.header())
            .field("secrets", &self.shared.keyring.load())
            .finish_non_exhaustive()
    }
}

/// A verification whose body is still arriving.
pub(crate) struct Verification<'v> {
    authenticator: &'v Authenticator,
    keyring: &'v Keyring,
    presented: &'v Presented,
    head: Head<'v>,
    eligible: Eligible,
    /// A MAC for each eligible key, once they are fed.
    macs: Macs,
}

impl<'v> Verification<'v> {
    /// Starts a MAC for every key that may have signed.
    #[inline]
    pub(crate) fn begin(
        authenticator: &'v Authenticator,
        keyring: &'v Keyring,
        presented: &'v Presented,
        head: Head<'v>,
        now: impl FnOnce() -> SystemTime,
    ) -> Self {
        let eligible = keyring.eligible(now, presented.key_id.as_deref());
        let mut this = Self { authenticator, keyring, presented, head, eligible, macs: Macs::default() };
        if let Authenticator::Data(scheme) = authenticator
            && scheme.streams()
        {
            this.start_macs();
            let macs = &mut this.macs;
            scheme.before_body(head, presented, |bytes| macs.update(bytes));
        }
        this
    }

    #[inline]
    fn start_macs(&mut self) {
        for (index, key) in self.keyring.keys(&self.eligible) {
            if let Key::Mac(state) = key {
                self.macs.start(index, state);
            }
        }
    }

    #[inline]
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.macs.update(bytes);
    }

    /// How many keys are tried.
    pub(crate) fn keys(&self) -> usize {
        self.keyring.keys(&self.eligible).count()
    }

    /// The signature first, then the timestamp: stale but authentic is a reason of its own.
    #[inline]
    pub(crate) fn finish(&mut self, body: &[u8], now: SystemTime) -> Verdict {
        match self.authenticator {
            Authenticator::Data(scheme) => {
                if !scheme.streams() {
                    self.start_macs();
                }
                let macs = &mut self.macs;
                if macs.first.is_some() {
                    scheme.after_body(self.head, self.presented, body, |bytes| macs.update(bytes));
                }
                let Some(index) = self.matching(body) else {
                    return Verdict::refused(self.mismatch());
                };
                self.keyring.used(index, now);
                let mut in_body = None;
                if let Some(path) = scheme.body_timestamp() {
                    match path.read(scheme.unit(), body) {
                        Ok(timestamp) => in_body = Some(timestamp),
                        Err(reason) => return Verdict::refused(reason),
                    }
                }
                let timestamp = self.presented.timestamp.as_ref().or(in_body.as_ref());
                let signed_at = timestamp.map(SignedTimestamp::seconds);
                if let (Some(timestamp), Some(tolerance)) = (timestamp, scheme.tolerance())
                    && let Err(reason) = timestamp.check(now, tolerance)
                {
                    return Verdict { proof: Err(reason), signed_at };
                }
                let secret_label = Arc::clone(self.keyring.label(index));
                Verdict { proof: Ok(Proof { secret_label, signed_at, identity: None }), signed_at }
            }
            Authenticator::Code { verify: code, url } => {
                self.finish_by_code(&**code, url.as_ref(), body, now)
            }
        }
    }

    /// What no key verifies may be signed by one that is on its way, and senders give up on a 401.
    fn mismatch(&self) -> RejectionReason {
        if self.keyring.is_awaiting_another() {
            RejectionReason::SecretsUnavailable
        } else {
            RejectionReason::SignatureMismatch
        }
    }

    /// Out of the way of what nearly every request takes.
    #[cold]
    fn finish_by_code(
        &self,
        code: &dyn Verify,
        url: Option<&PublicUrl>,
        body: &[u8],
        now: SystemTime,
    ) -> Verdict {
        let url = url.map(PublicUrl::as_str);
        let request = Unverified::new(self.head, body, now, url);
        let mut refusal = self.mismatch();
        for (index, key) in self.keyring.keys(&self.eligible) {
            let Key::Secret(secret) = key else { continue };
            match verify::verify(code, &request, secret) {
                Ok(authentic) if !self.eligible.barred => {
                    self.keyring.used(index, now);
                    let (signed_at, identity) = authentic.into_parts();
                    let secret_label = Arc::clone(self.keyring.label(index));
                    return Verdict { proof: Ok(Proof { secret_label, signed_at, identity }), signed_at };
                }
                Ok(_) | Err(RejectionReason::SignatureMismatch) => {}
                // What a panic left undecided, a sender must be asked to repeat.
                Err(_) if refusal == RejectionReason::VerificationPanicked => {}
                Err(reason) => refusal = reason,
            }
        }
        Verdict::refused(refusal)
    }

    /// The key under which some candidate is right. Every candidate is compared under every key.
    #[inline]
    fn matching(&mut self, body: &[u8]) -> Option<usize> {
        let candidates = &self.presented.candidates;
        #[allow(unused_mut, reason = "Ed25519 is a feature")]
        let mut matched = self.macs.matching(candidates);
        #[cfg(feature = "ed25519")]
        if let Authenticator::Data(scheme) = self.authenticator
            && matches!(scheme.key().kind, super::keyring::KeyKind::Ed25519)
        {
            matched = self.matching_ed25519(scheme, body);
        }
        #[cfg(not(feature = "ed25519"))]
        let _ = body;
        matched.filter(|_| !self.eligible.barred)
    }

    #[cfg(feature = "ed25519")]
    #[cold]
    fn matching_ed25519(&self, scheme: &ResolvedScheme, body: &[u8]) -> Option<usize> {
        let candidates = &self.presented.candidates;
        let mut message = Vec::with_capacity(body.len() + 64);
        scheme.whole(self.head, self.presented, body, |bytes| message.extend_from_slice(bytes));
        let verifies = |key: &Key| matches!(key, Key::Ed25519(key) if super::ed25519::verifies(key, &message, candidates));
        self.keyring.keys(&self.eligible).find(|(_, key)| verifies(key)).map(|(index, _)| index)
    }

    /// What tells this event from others where its envelope has no id: the digest of all that was signed, or, where
    /// the body is not signed, of the body.
    pub(crate) fn identity(&self, proof: &Proof, body: &[u8]) -> [u8; 32] {
        match self.authenticator {
            Authenticator::Data(scheme) if scheme.template().covers_body() => {
                let mut digest = Sha256::new();
                scheme.whole(self.head, self.presented, body, |bytes| digest.update(bytes));
                digest.finalize().into()
            }
            _ => Sha256::digest(proof.identity.as_deref().unwrap_or(body)).into(),
        }
    }
}

/// MACs in progress, each with the index of its key. Most providers have one key, whose state is worked on in place.
#[derive(Default)]
struct Macs {
    first: Option<(usize, MacState)>,
    others: Vec<(usize, MacState)>,
}

impl Macs {
    #[inline]
    fn start(&mut self, index: usize, state: &MacState) {
        if self.first.is_none() {
            self.first = Some((index, state.clone()));
        } else {
            self.others.push((index, state.clone()));
        }
    }

    #[inline]
    fn update(&mut self, bytes: &[u8]) {
        if let Some((_, mac)) = &mut self.first {
            mac.update(bytes);
        }
        for (_, mac) in &mut self.others {
            mac.update(bytes);
        }
    }

    /// The key under which some candidate is right. Every candidate is compared under every key.
    #[inline]
    fn matching(&mut self, candidates: &[u8]) -> Option<usize> {
        let mut matched = self.first.take().and_then(|(index, mac)| mac.matches(candidates).then_some(index));
        for (index, mac) in self.others.drain(..) {
            if mac.matches(candidates) && matched.is_none() {
                matched = Some(index);
            }
        }
        matched
    }
}

/// What a verification came to.
pub(crate) struct Verdict {
    pub(crate) proof: Result<Proof, RejectionReason>,
    /// When an authentic request was signed, fresh or stale.
    pub(crate) signed_at: Option<u64>,
}

impl Verdict {
    fn refused(reason: RejectionReason) -> Self {
        Self { proof: Err(reason), signed_at: None }
    }
}

/// That a body is authentic.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof {
    secret_label: Arc<str>,
    signed_at: Option<u64>,
    identity: Option<Vec<u8>>,
}

/// Without the identity, which may be the body.
impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof")
            .field("secret_label", &self.secret_label)
            .field("signed_at", &self.signed_at)
            .finish_non_exhaustive()
    }
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

    fn verifier(scheme: SignatureScheme, secrets: Secrets) -> Verifier {
        Verifier::new(Authenticator::Data(Box::new(scheme.resolve().unwrap())), secrets).unwrap()
    }

    #[allow(clippy::unwrap_in_result, reason = "what is unwrapped is not what is tested")]
    fn verify(scheme: SignatureScheme, header: &str, now: u64) -> Result<Proof, RejectionReason> {
        let secrets = Secrets::new(Secret::new("another signing secret").unwrap())
            .with_secret("right", Secret::new("0123456789abcdef").unwrap())
            .unwrap();
        let verifier = verifier(scheme, secrets);
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
    fn a_secret_that_is_replaced_by_one_of_its_label_goes_on_being_watched() {
        let headers = HeaderMap::from_iter([(http::header::ETAG, BODY.parse().unwrap())]);
        let secret = || Secret::new("0123456789abcdef").unwrap();
        let verifier = verifier(scheme(), secret().into());
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        verifier.verify(&headers, b"body", now).unwrap();
        let usage = verifier.secret_usage("current");
        assert_eq!(usage.unwrap().last_used(), Some(now));

        let other = Secret::new("another signing secret").unwrap();
        let both = Secrets::new(secret()).with_secret("other", other).unwrap();
        verifier.replace_secrets(both.awaiting_another()).unwrap();
        verifier.await_another();
        assert_eq!(verifier.secret_usage("current"), usage);
        assert_eq!(verifier.secret_usage("other").unwrap().last_used(), None);
        // And notices what is used now.
        let later = now + Duration::from_secs(5);
        verifier.verify(&headers, b"body", later).unwrap();
        assert_eq!(verifier.secret_usage("current").unwrap().last_used(), Some(later));
        assert_eq!(verifier.secret_usage("current").unwrap().watched_since(), usage.unwrap().watched_since());
    }

    #[test]
    fn debug_shows_labels_alone() {
        let verifier = verifier(scheme(), Secret::new("0123456789abcdef").unwrap().into());
        let debug = format!("{verifier:?}");
        assert!(debug.contains("current") && !debug.contains("0123456789abcdef"), "{debug}");
    }
}
