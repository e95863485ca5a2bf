//! The way out: verification as code, for what data cannot say.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, Method, Uri};

use super::secret::Secret;
use super::template::{Head, single};
use super::timestamp::{SignedTimestamp, TimestampUnit};
#[cfg(doc)]
use crate::error::ConfigError;
use crate::error::RejectionReason;
use crate::panic::caught;

/// Verifies requests of a provider whose scheme [`SignatureScheme`](crate::SignatureScheme) cannot describe: one that
/// signs what it finds in the body, uses a certificate, or an algorithm of its own. Given to
/// [`ProviderBuilder::verify_with`](crate::ProviderBuilder::verify_with).
///
/// It is called when the whole body is there, once for each secret until one verifies. Everything before and after it
/// stays the layer's: limits, secrets, deduplication, the one answer to whatever is not authentic.
///
/// What an implementation owes:
///
/// - compare in constant time (`subtle`), over the whole length, and never with a secret that may be empty;
/// - refuse a header that is there twice: [`Unverified::header`] does;
/// - check a timestamp after the signature, with [`Unverified::check_timestamp`];
/// - sign the bytes as they came, never a re-serialised form of them;
/// - never panic: what it reads was written by strangers. A panic is caught, and answered 503 so that a genuine
///   sender tries again ([`RejectionReason::VerificationPanicked`]).
///
/// `examples/twilio` signs a URL and sorted form fields, `examples/sendgrid` uses ECDSA: both are complete receivers,
/// tested with vectors that the providers publish.
///
/// ```
/// use http::{HeaderName, header};
/// use tower_webhook::{Authentic, Provider, RejectionReason, Secret, Unverified, Verify, testing};
///
/// /// `Authorization: Bearer <secret>.<length of the body>`, whatever that is good for.
/// #[derive(Debug)]
/// struct Odd;
///
/// impl Verify for Odd {
///     fn signature_header(&self) -> &HeaderName {
///         &header::AUTHORIZATION
///     }
///
///     fn verify(&self, request: &Unverified<'_>, secret: &Secret) -> Result<Authentic, RejectionReason> {
///         use subtle::ConstantTimeEq as _;
///         let expected = format!("Bearer {}.{}", secret.expose(), request.body().len());
///         let found = request.header(&header::AUTHORIZATION)?;
///         if bool::from(expected.as_bytes().ct_eq(found)) {
///             Ok(Authentic::new())
///         } else {
///             Err(RejectionReason::SignatureMismatch)
///         }
///     }
/// }
///
/// let odd = Provider::builder("odd").verify_with(Odd).build()?;
/// let verifier = odd.verifier(Secret::new("a-signing-secret")?)?;
/// let request = http::Request::post("/").header("authorization", "Bearer a-signing-secret.2").body("{}")?;
/// assert!(verifier.verify_request(&request, std::time::SystemTime::now()).is_ok());
/// # Ok::<(), tower_webhook::BoxError>(())
/// ```
pub trait Verify: fmt::Debug + Send + Sync + 'static {
    /// The header that carries the signature. A request without it, or with two lines of it, is refused before its
    /// body is read.
    fn signature_header(&self) -> &HeaderName;

    /// Whether `secret` signed the request.
    ///
    /// In a layer for [tenants](crate::Tenants) it is called for an unknown tenant too, with a secret of nobody that
    /// [`check_secret`](Self::check_secret) has not seen, so that a made-up name costs what a wrong signature does. What
    /// it says then is refused as `UnknownTenant`.
    ///
    /// # Errors
    ///
    /// Why it did not. [`RejectionReason::SignatureMismatch`] lets the next secret try; every reason but
    /// `TimestampTooOld` and `TimestampInFuture` counts as a request of somebody else.
    fn verify(&self, request: &Unverified<'_>, secret: &Secret) -> Result<Authentic, RejectionReason>;

    /// What is signed, in words: for descriptions of the provider.
    fn describe(&self) -> String {
        "verified by code".to_owned()
    }

    /// Checks a secret when it is configured, so that one which can verify nothing does not wait for the first
    /// request. The default takes every secret.
    ///
    /// # Errors
    ///
    /// What was expected instead, for [`ConfigError::UndecodableSecret`]: `a P-256 public key`.
    fn check_secret(&self, secret: &Secret) -> Result<(), &'static str> {
        let _ = secret;
        Ok(())
    }

    /// Whether [`Unverified::public_url`] is needed: without one nothing can then be configured
    /// ([`ConfigError::NoPublicUrl`]). Default: `false`.
    fn needs_public_url(&self) -> bool {
        false
    }

    /// How far a signed timestamp may be off, where [`verify`](Self::verify) checks one: done marks then outlive it
    /// twice over. It is the code's to change, and not [`Provider::with_tolerance`](crate::Provider::with_tolerance)'s.
    /// Default: `None`, no timestamp is signed.
    fn tolerance(&self) -> Option<Duration> {
        None
    }
}

/// A panic is a reason of its own, whatever the code was about to say.
pub(super) fn verify(
    code: &dyn Verify,
    request: &Unverified<'_>,
    secret: &Secret,
) -> Result<Authentic, RejectionReason> {
    match caught(|| code.verify(request, secret)) {
        Some(verdict) => verdict.map_err(RejectionReason::of_verification),
        None => Err(RejectionReason::VerificationPanicked),
    }
}

/// A request whose signature is to be verified.
#[derive(Clone, Copy)]
pub struct Unverified<'a> {
    head: Head<'a>,
    body: &'a [u8],
    now: SystemTime,
    url: Option<&'a str>,
}

impl<'a> Unverified<'a> {
    pub(crate) fn new(head: Head<'a>, body: &'a [u8], now: SystemTime, url: Option<&'a str>) -> Self {
        Self { head, body, now, url }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &'a Method {
        self.head.method
    }

    /// The URI as this service sees it: routers and proxies may have changed it.
    #[must_use]
    pub fn uri(&self) -> &'a Uri {
        self.head.uri
    }

    /// The URL that the provider has on record, where it was
    /// [configured](crate::Provider::with_public_url).
    #[must_use]
    pub fn public_url(&self) -> Option<&'a str> {
        self.url
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.head.headers
    }

    /// A header's value without the blanks around it.
    ///
    /// # Errors
    ///
    /// [`RejectionReason::MissingHeader`], or [`RejectionReason::DuplicateHeader`] for two lines of it.
    pub fn header(&self, name: &HeaderName) -> Result<&'a [u8], RejectionReason> {
        single(self.head.headers, name)
    }

    /// The exact bytes of the body.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The present, by the layer's clock.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.now
    }

    /// Reads a signed timestamp and checks that it lies within `tolerance` of now; exactly at the edge does. To be
    /// called when the signature holds. Returns Unix seconds.
    ///
    /// # Errors
    ///
    /// [`RejectionReason::MalformedTimestamp`], [`RejectionReason::TimestampTooOld`] or
    /// [`RejectionReason::TimestampInFuture`].
    pub fn check_timestamp(
        &self,
        text: &[u8],
        unit: TimestampUnit,
        tolerance: Duration,
    ) -> Result<u64, RejectionReason> {
        let timestamp = SignedTimestamp::parse(unit, text)?;
        timestamp.check(self.now, tolerance)?;
        Ok(timestamp.seconds())
    }
}

/// Shows neither headers nor body.
impl fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unverified")
            .field("method", self.method())
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// What a [`Verify`] knows of a request that is authentic.
#[derive(Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Authentic {
    signed_at: Option<u64>,
    identity: Option<Vec<u8>>,
}

/// Without the identity, which may be the body.
impl fmt::Debug for Authentic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authentic").field("signed_at", &self.signed_at).finish_non_exhaustive()
    }
}

impl Authentic {
    /// That it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// When it was signed, in Unix seconds.
    pub fn with_signed_at(mut self, seconds: u64) -> Self {
        self.signed_at = Some(seconds);
        self
    }

    /// The bytes that tell this event from others, where the envelope
    /// [identifies events by digest](crate::Envelope::identified_by_digest). They must be signed. Default: the body.
    pub fn with_identity(mut self, signed: impl Into<Vec<u8>>) -> Self {
        self.identity = Some(signed.into());
        self
    }

    pub(crate) fn into_parts(self) -> (Option<u64>, Option<Vec<u8>>) {
        (self.signed_at, self.identity)
    }
}
