//! Secrets that are read from where a sink keeps them, as far as they can be read.

use std::sync::PoisonError;

use super::awaiting::Awaiting;
use super::secret::{Secret, Secrets};
use super::verifier::Verifier;
use crate::error::ConfigError;

/// What was read.
pub(crate) struct Fed {
    /// With their labels, of which none stands there twice.
    pub(crate) secrets: Vec<(String, Secret)>,
    /// Whether all was read that there is. What was not may be a secret that is in use, known here before or not.
    pub(crate) is_whole: bool,
    /// Where all was read.
    pub(crate) awaiting: Awaiting,
    /// Where it was not.
    pub(crate) awaiting_the_rest: Awaiting,
}

impl Verifier {
    /// Takes what is read in the place of what it has. Where that is not all, nothing is given up; where there is nothing,
    /// too, since a receiver cannot be without any secret. What `read` finds is newer than what any other call has found
    /// that has returned.
    ///
    /// Returns which secrets are none of this provider's.
    ///
    /// # Errors
    ///
    /// [`ConfigError::SecretsOfTenants`].
    pub(crate) fn feed(&self, read: impl FnOnce() -> Fed) -> Result<Vec<(String, ConfigError)>, ConfigError> {
        let _feeding = self.shared.feeding.lock().unwrap_or_else(PoisonError::into_inner);
        let fed = read();
        let (mut found, mut refused) = (None, Vec::new());
        for (label, secret) in fed.secrets {
            let secrets = Secrets::labelled([(label.clone(), secret)])?;
            match (self.authenticator.keyring(secrets), &mut found) {
                (Ok(keyring), None) => found = Some(keyring),
                (Ok(keyring), Some(found)) => found.add_others_of(&keyring),
                (Err(error), _) => refused.push((label, error)),
            }
        }
        let is_whole = fed.is_whole && refused.is_empty();
        let awaiting = if is_whole { fed.awaiting } else { fed.awaiting_the_rest };
        self.change(|replaced| {
            let Some(found) = found else {
                // What a program has said of its own secrets is for it to take back.
                let awaiting =
                    if replaced.awaiting() == Awaiting::Another { Awaiting::Another } else { awaiting };
                return Ok(replaced.clone().with_awaiting(awaiting));
            };
            let mut keyring = found.with_usage_of(replaced).with_awaiting(awaiting);
            if !is_whole {
                keyring.add_others_of(replaced);
            }
            Ok(keyring)
        })?;
        Ok(refused)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::caspay;

    fn verifier() -> Verifier {
        caspay::provider().verifier(Secret::new("0123456789abcdef").unwrap()).unwrap()
    }

    fn nothing() -> Fed {
        Fed {
            secrets: Vec::new(),
            is_whole: true,
            awaiting: Awaiting::Nothing,
            awaiting_the_rest: Awaiting::AnotherUntil(Instant::now() + Duration::from_secs(3600)),
        }
    }

    /// Else one that has read before an announcement could take it away from one that has read after it.
    #[test]
    fn nobody_reads_and_nobody_replaces_while_another_does() {
        let (verifier, other) = (verifier(), verifier());
        let clone = verifier.clone();
        let read = || {
            assert!(clone.shared.feeding.try_lock().is_err() && other.shared.feeding.try_lock().is_ok());
            // Whoever has its secrets at hand need not wait for a disk.
            clone.await_another();
            nothing()
        };
        assert_eq!(verifier.feed(read).unwrap(), []);
        assert!(clone.keyring().is_awaiting_another());
        let replaced = |keyring: &super::super::Keyring| {
            assert!(clone.shared.changing.try_lock().is_err());
            Ok(keyring.clone())
        };
        verifier.change(replaced).unwrap();
    }

    #[test]
    fn a_sink_with_nothing_changes_nothing_but_what_a_sink_has_said() {
        let verifier = verifier();
        let is_awaiting = || verifier.keyring().is_awaiting_another();
        verifier.feed(|| Fed { is_whole: false, ..nothing() }).unwrap();
        assert!(is_awaiting());
        verifier.feed(nothing).unwrap();
        assert!(!is_awaiting() && verifier.secret_usage("current").is_some());
    }

    #[test]
    fn a_secret_that_is_only_valid_for_a_time_stays_so_beside_others() {
        let text = "another-signing-secret";
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        let timed = Secret::new(text).unwrap().with_not_after(long_ago);
        let verifier = caspay::provider().verifier(timed).unwrap();
        let secrets = vec![("new".to_owned(), Secret::new("0123456789abcdef").unwrap())];
        verifier.feed(|| Fed { secrets, is_whole: false, ..nothing() }).unwrap();
        let keyring = verifier.keyring();
        let tried = |now| keyring.keys(&keyring.eligible(|| now, None)).count();
        assert_eq!((tried(long_ago), tried(std::time::SystemTime::now())), (2, 1));
    }

    #[test]
    fn a_layer_of_tenants_is_not_fed() {
        let scheme = crate::SignatureScheme::hmac_sha256("etag").resolve().unwrap();
        let tenants = Verifier::decoy(super::super::Authenticator::Data(Box::new(scheme))).unwrap();
        assert_eq!(tenants.feed(nothing).unwrap_err(), ConfigError::SecretsOfTenants);
    }
}
