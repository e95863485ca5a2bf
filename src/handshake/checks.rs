//! What the user configures, without which a hub is told nothing.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::signature::{Secret, token_digest};

/// What a hub's GET is held against.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checks {
    verify_token: Option<VerifyToken>,
    wanted: Vec<String>,
    unwanted: Vec<String>,
}

impl Checks {
    pub(crate) fn set_verify_token(&mut self, token: &Secret) {
        self.verify_token = Some(VerifyToken(Zeroizing::new(token_digest(token.expose().as_bytes()))));
    }

    pub(crate) fn set_topics(&mut self, topics: Vec<String>) {
        self.wanted = topics;
    }

    pub(crate) fn set_topics_to_leave(&mut self, topics: Vec<String>) {
        self.unwanted = topics;
    }

    /// Whether this is the token. Without one that is configured, none is.
    pub(super) fn is_token(&self, found: &str) -> bool {
        self.verify_token.as_ref().is_some_and(|token| token.is(found))
    }

    pub(super) fn wants(&self, topic: &str) -> bool {
        self.wanted.iter().any(|wanted| wanted == topic)
    }

    pub(super) fn leaves(&self, topic: &str) -> bool {
        self.unwanted.iter().any(|unwanted| unwanted == topic)
    }

    pub(super) fn has_token(&self) -> bool {
        self.verify_token.is_some()
    }

    pub(super) fn has_topics(&self) -> bool {
        !self.wanted.is_empty() || !self.unwanted.is_empty()
    }
}

/// A token by its digest: neither its text nor its length shows, in memory or in the time that a comparison takes.
#[derive(Clone)]
struct VerifyToken(Zeroizing<[u8; 32]>);

impl VerifyToken {
    fn is(&self, found: &str) -> bool {
        token_digest(found.as_bytes()).ct_eq(&*self.0).into()
    }
}

impl fmt::Debug for VerifyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyToken(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_configured_check_nothing_passes() {
        let checks = Checks::default();
        assert!(!checks.is_token("") && !checks.wants("") && !checks.leaves(""));
        assert!(!checks.has_token() && !checks.has_topics());
    }

    #[test]
    fn a_token_passes_whole() {
        let mut checks = Checks::default();
        checks.set_verify_token(&Secret::new("a-verify-token-of-mine").unwrap());
        assert!(checks.is_token("a-verify-token-of-mine"));
        for token in ["", "a-verify-token-of-min", "a-verify-token-of-mine ", "A-verify-token-of-mine"] {
            assert!(!checks.is_token(token), "{token}");
        }
        assert!(!format!("{checks:?}").contains("mine"));
    }
}
