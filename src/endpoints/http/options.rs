//! How long a call may take, and how often it is tried.

use std::time::Duration;

/// Timeouts, retries, and whether loopback may do without TLS.
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
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(10),
            deadline: Duration::from_secs(30),
            attempts: 4,
            first_pause: Duration::from_millis(250),
            allow_loopback: false,
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

    pub(in crate::endpoints) fn longest_call(&self) -> Duration {
        self.deadline
    }

    pub(in crate::endpoints) fn allows_loopback(&self) -> bool {
        self.allow_loopback
    }
}
