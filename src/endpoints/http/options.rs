//! How long a call may take, how often it is tried, and whom it trusts.

use std::time::Duration;

use super::tls::Roots;

/// Timeouts, retries, whose certificates are trusted, and whether loopback may do without any.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::endpoints::ClientOptions;
///
/// let options = ClientOptions::default().with_deadline(Duration::from_secs(10)).with_attempts(2);
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientOptions {
    pub(super) attempt_timeout: Duration,
    pub(super) deadline: Duration,
    pub(super) attempts: u32,
    pub(super) first_pause: Duration,
    pub(super) allow_loopback: bool,
    pub(super) roots: Roots,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(10),
            deadline: Duration::from_secs(30),
            attempts: 4,
            first_pause: Duration::from_millis(250),
            allow_loopback: false,
            roots: Roots::default(),
        }
    }
}

impl ClientOptions {
    /// For how long one attempt may last, from the connection to the last byte of the answer. Default: 10 seconds,
    /// which is long for an API that answers from a database.
    pub fn with_attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// For how long a call may last, all attempts and pauses included. A pause that would end later is not begun.
    /// Default: 30 seconds.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How often a call is tried whose repetition does no harm: reading, updating to given values, deleting. Creating
    /// is never tried twice: it could create two endpoints. Zero counts as 1. Default: 4.
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// The pause before the second attempt, where the API names none (`Retry-After`). Each further one is twice as
    /// long, and each is shortened by up to a half at random, so that instances do not come back together. Default:
    /// 250 milliseconds.
    pub fn with_first_pause(mut self, pause: Duration) -> Self {
        self.first_pause = pause;
        self
    }

    /// Allows http in the place of https, to and for addresses of this machine: for a simulator, and for tests. An API
    /// key that leaves the machine, and what a provider delivers, is for https alone.
    pub fn allow_loopback(mut self) -> Self {
        self.allow_loopback = true;
        self
    }

    /// Trusts the authorities of these certificates, in PEM, beside those that the system trusts: for a proxy or a
    /// gateway of your company's, and for a container that has no list of authorities. Further calls add to it. Default:
    /// those of the system alone, which on Linux are in the file or the directory that `SSL_CERT_FILE` or `SSL_CERT_DIR`
    /// names, if any does.
    ///
    /// A client is not made ([`InvalidRequest`](super::super::EndpointErrorKind::InvalidRequest)) where this holds no
    /// certificate, or one that cannot be read.
    ///
    /// ```
    /// use tower_webhook::Secret;
    /// use tower_webhook::endpoints::{CasaPay, ClientOptions, EndpointErrorKind};
    ///
    /// # fn main() -> Result<(), tower_webhook::BoxError> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("company.pem");
    /// # std::fs::write(&path, rcgen::generate_simple_self_signed(["company.example".to_owned()])?.cert.pem())?;
    /// let company = std::fs::read(path)?; // such as /etc/ssl/company.pem
    /// let options = ClientOptions::default().with_root_certificates(company);
    /// let client = |options| {
    ///     CasaPay::new("https://api.example.com", Secret::new("sk_test_0123456789abcdef").unwrap(), options)
    /// };
    /// assert!(client(options).is_ok());
    ///
    /// let mistaken = ClientOptions::default().with_root_certificates("company.pem"); // its name is not its text
    /// let error = client(mistaken).unwrap_err();
    /// assert_eq!(error.kind(), EndpointErrorKind::InvalidRequest);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_root_certificates(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.roots.add(pem.as_ref());
        self
    }

    pub(in crate::endpoints) fn longest_call(&self) -> Duration {
        self.deadline
    }

    pub(in crate::endpoints) fn allows_loopback(&self) -> bool {
        self.allow_loopback
    }
}
