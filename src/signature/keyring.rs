//! The keys of one provider, ready to verify with.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use smallvec::SmallVec;

use super::mac::{MacKind, MacState};
use super::resolved::KeyFormat;
use super::secret::{MIN_SECRET_BYTES, Secret, Secrets, Validity};
use crate::error::ConfigError;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Mac(MacKind),
    #[cfg(feature = "ed25519")]
    Ed25519,
}

/// A key as it is kept: for a MAC the keyed state, not the secret.
pub(crate) enum Key {
    Mac(MacState),
    #[cfg(feature = "ed25519")]
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    /// For a [`Verify`](super::Verify) of the user's own.
    Secret(Arc<Secret>),
}

/// One key for every secret.
pub(crate) struct Keyring {
    entries: Box<[Entry]>,
    /// Whether some key is not valid at all times.
    timed: bool,
    /// Whether this stands in for the keys of nobody: it computes what others do, and nothing verifies by it.
    decoy: bool,
}

struct Entry {
    label: Arc<str>,
    validity: Validity,
    key: Key,
}

impl Keyring {
    pub(crate) fn new(format: &KeyFormat, secrets: Secrets) -> Result<Self, ConfigError> {
        Self::of(secrets, |label, secret| match format.kind {
            KeyKind::Mac(kind) => Ok(Key::Mac(MacState::keyed(kind, &decode(format, label, &secret)?))),
            #[cfg(feature = "ed25519")]
            KeyKind::Ed25519 => {
                let key = decode(format, label, &secret)?;
                let undecodable = || ConfigError::UndecodableSecret {
                    label: label.to_owned(),
                    expected: "an Ed25519 public key",
                };
                let bytes = <&[u8; 32]>::try_from(key.as_slice()).map_err(|_| undecodable())?;
                let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| undecodable())?;
                // Under a key of small order one signature is right for every message.
                if key.is_weak() { Err(undecodable()) } else { Ok(Key::Ed25519(Box::new(key))) }
            }
        })
    }

    /// Keys that are the secrets themselves; `check` says what it expected instead.
    pub(crate) fn of_secrets(
        secrets: Secrets,
        check: impl Fn(&Secret) -> Result<(), &'static str>,
    ) -> Result<Self, ConfigError> {
        Self::of(secrets, |label, secret| match check(&secret) {
            Ok(()) => Ok(Key::Secret(Arc::new(secret))),
            Err(expected) => Err(ConfigError::UndecodableSecret { label: label.to_owned(), expected }),
        })
    }

    fn of(
        secrets: Secrets,
        key: impl Fn(&str, Secret) -> Result<Key, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let entries = secrets.into_entries().map(|(label, secret)| {
            Ok(Entry { validity: secret.validity(), key: key(&label, secret)?, label: label.into() })
        });
        let entries = entries.collect::<Result<Box<[_]>, ConfigError>>()?;
        let timed = entries.iter().any(|entry| !entry.validity.is_always());
        Ok(Self { entries, timed, decoy: false })
    }

    /// Makes of keys that nobody knows a stand-in for a tenant who is unknown.
    pub(crate) fn into_decoy(self) -> Self {
        Self { decoy: true, ..self }
    }

    pub(crate) fn is_decoy(&self) -> bool {
        self.decoy
    }

    pub(crate) fn label(&self, index: usize) -> &Arc<str> {
        &self.entries[index].label
    }

    pub(crate) fn key(&self, index: usize) -> &Key {
        &self.entries[index].key
    }

    /// Whether the time decides which keys are tried.
    pub(crate) fn is_timed(&self) -> bool {
        self.timed
    }

    /// The keys that may have signed. Where there are none, the keys that may not have, so that it takes as long to
    /// find out; `true` then says that none of them can match.
    #[inline]
    pub(crate) fn eligible(
        &self,
        now: Option<SystemTime>,
        key_id: Option<&[u8]>,
    ) -> (SmallVec<[usize; 2]>, bool) {
        if !self.timed && key_id.is_none() {
            return ((0..self.entries.len()).collect(), self.decoy);
        }
        let eligible = |entry: &Entry| {
            now.is_none_or(|now| entry.validity.contains(now))
                && key_id.is_none_or(|id| id == entry.label.as_bytes())
        };
        let found: SmallVec<_> =
            (0..self.entries.len()).filter(|index| eligible(&self.entries[*index])).collect();
        if found.is_empty() { ((0..self.entries.len().min(1)).collect(), true) } else { (found, self.decoy) }
    }
}

/// The bytes of a key, from the text that a provider shows.
pub(super) fn decode(
    format: &KeyFormat,
    label: &str,
    secret: &Secret,
) -> Result<zeroize::Zeroizing<Vec<u8>>, ConfigError> {
    let text = secret.expose();
    let text = text.strip_prefix(&*format.prefix).unwrap_or(text);
    let key = format.encoding.decode(text).ok_or_else(|| ConfigError::UndecodableSecret {
        label: label.to_owned(),
        expected: format.encoding.name(),
    })?;
    if key.is_empty() {
        return Err(ConfigError::EmptySecret);
    }
    if key.len() < MIN_SECRET_BYTES && !secret.is_weak() {
        return Err(ConfigError::ShortSecret { length: key.len() });
    }
    Ok(key)
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|entry| &entry.label)).finish()
    }
}
