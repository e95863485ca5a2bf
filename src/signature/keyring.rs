//! The keys of one provider, ready to verify with.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::SystemTime;

#[cfg(feature = "ed25519")]
use sha2::Digest as _;

use super::awaiting::Awaiting;
use super::mac::{MacKind, MacState};
use super::resolved::KeyFormat;
use super::secret::{MIN_SECRET_BYTES, Secret, Secrets, Validity};
use super::usage::{SecretUsage, Used};
use crate::error::ConfigError;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Mac(MacKind),
    #[cfg(feature = "ed25519")]
    Ed25519,
}

/// A key as it is kept: for a MAC the keyed state, not the secret.
#[derive(Clone)]
pub(crate) enum Key {
    Mac(MacState),
    #[cfg(feature = "ed25519")]
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    /// For a [`Verify`](super::Verify) of the user's own.
    Secret(Arc<Secret>),
}

/// One key for every secret. Clones share what is known of their use.
#[derive(Clone)]
pub(crate) struct Keyring {
    entries: Box<[Entry]>,
    /// Whether some key is not valid at all times.
    timed: bool,
    /// Whether this stands in for the keys of nobody: it computes what others do, and nothing verifies by it.
    decoy: bool,
    awaiting: Awaiting,
}

#[derive(Clone)]
struct Entry {
    label: Arc<str>,
    usage: Arc<Used>,
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

    /// As [`decoy`](Self::decoy), for keys that are secrets.
    pub(crate) fn decoy_of_secrets() -> Result<Self, ConfigError> {
        Ok(Self::of_secrets(nobodys_secret()?, |_| Ok(()))?.into_decoy())
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

    /// A key of this format that nobody knows, and by which nothing verifies.
    pub(crate) fn decoy(format: &KeyFormat) -> Result<Self, ConfigError> {
        let keyring = Self::of(nobodys_secret()?, |_, secret| {
            Ok(match format.kind {
                KeyKind::Mac(kind) => Key::Mac(MacState::keyed(kind, secret.expose().as_bytes())),
                #[cfg(feature = "ed25519")]
                KeyKind::Ed25519 => {
                    let seed = sha2::Sha256::digest(secret.expose()).into();
                    Key::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key()))
                }
            })
        });
        Ok(keyring?.into_decoy())
    }

    fn of(
        secrets: Secrets,
        key: impl Fn(&str, Secret) -> Result<Key, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let awaiting = secrets.awaiting();
        let entries = secrets.into_entries().map(|(label, secret)| {
            let (validity, usage) = (secret.validity(), Arc::new(Used::from_now()));
            Ok(Entry { validity, usage, key: key(&label, secret)?, label: label.into() })
        });
        let entries = entries.collect::<Result<Box<[_]>, ConfigError>>()?;
        let timed = entries.iter().any(|entry| !entry.validity.is_always());
        Ok(Self { entries, timed, decoy: false, awaiting })
    }

    /// Makes of keys that nobody knows a stand-in for a tenant who is unknown.
    fn into_decoy(self) -> Self {
        Self { decoy: true, ..self }
    }

    pub(crate) fn is_decoy(&self) -> bool {
        self.decoy
    }

    /// Whether what no key verifies may be signed by one that is not here yet.
    pub(crate) fn is_awaiting_another(&self) -> bool {
        !self.awaiting.is_over()
    }

    #[cfg(feature = "endpoints")]
    pub(super) fn awaiting(&self) -> Awaiting {
        self.awaiting
    }

    pub(super) fn with_awaiting(self, awaiting: Awaiting) -> Self {
        Self { awaiting, ..self }
    }

    /// Adds the keys of another keyring that have labels of their own.
    #[cfg(feature = "endpoints")]
    pub(super) fn add_others_of(&mut self, other: &Self) {
        let is_other = |entry: &&Entry| self.entries.iter().all(|known| known.label != entry.label);
        let others: Vec<_> = other.entries.iter().filter(is_other).cloned().collect();
        self.timed |= others.iter().any(|entry| !entry.validity.is_always());
        self.entries = std::mem::take(&mut self.entries).into_iter().chain(others).collect();
    }

    /// Goes on where another keyring, which this one replaces, has got to with the keys of the same labels.
    pub(super) fn with_usage_of(mut self, replaced: &Self) -> Self {
        for entry in &mut self.entries {
            if let Some(known) = replaced.entries.iter().find(|known| known.label == entry.label) {
                entry.usage = Arc::clone(&known.usage);
            }
        }
        self
    }

    /// That a key has verified something at this time.
    #[inline]
    pub(super) fn used(&self, index: usize, now: SystemTime) {
        self.entries[index].usage.note(now);
    }

    pub(super) fn usage(&self, label: &str) -> Option<SecretUsage> {
        self.entries.iter().find(|entry| *entry.label == *label).map(|entry| entry.usage.read())
    }

    pub(crate) fn label(&self, index: usize) -> &Arc<str> {
        &self.entries[index].label
    }

    /// Signs by the key of this label, where that is one of HMAC-SHA256.
    pub(crate) fn signer(&self, label: &str) -> Option<Signer> {
        let entry = self.entries.iter().find(|entry| *entry.label == *label)?;
        match &entry.key {
            Key::Mac(state @ MacState::Sha256(_)) => Some(Signer(state.clone())),
            _ => None,
        }
    }

    /// Which keys may have signed. Where there are none, one that may not have, so that it takes as long to find out.
    #[inline]
    pub(crate) fn eligible(&self, now: impl FnOnce() -> SystemTime, key_id: Option<&[u8]>) -> Eligible {
        if self.timed || key_id.is_some() {
            return self.selected(self.timed.then(now), key_id);
        }
        Eligible { selected: None, barred: self.decoy }
    }

    #[cold]
    fn selected(&self, now: Option<SystemTime>, key_id: Option<&[u8]>) -> Eligible {
        let eligible = |entry: &Entry| {
            now.is_none_or(|now| entry.validity.contains(now))
                && key_id.is_none_or(|id| id == entry.label.as_bytes())
        };
        let found: Vec<_> = (0..self.entries.len()).filter(|index| eligible(&self.entries[*index])).collect();
        if found.is_empty() {
            Eligible { selected: Some(vec![0]), barred: true }
        } else {
            Eligible { selected: Some(found), barred: self.decoy }
        }
    }

    /// The keys with their indices.
    #[inline]
    pub(crate) fn keys<'k>(&'k self, eligible: &'k Eligible) -> impl Iterator<Item = (usize, &'k Key)> {
        let is_selected =
            |index: &usize| eligible.selected.as_ref().is_none_or(|selected| selected.contains(index));
        let keys = self.entries.iter().map(|entry| &entry.key).enumerate();
        keys.filter(move |(index, _)| is_selected(index))
    }
}

/// The keys that are tried.
#[derive(Debug)]
pub(crate) struct Eligible {
    /// Their indices; `None` for all.
    selected: Option<Vec<usize>>,
    /// Where none of them can match, whatever a signature says.
    pub(crate) barred: bool,
}

/// Signs one text, for a handshake that proves that the secret is known. Whoever has it decides what may be signed.
pub(crate) struct Signer(MacState);

impl Signer {
    /// In lower-case hexadecimal digits.
    pub(crate) fn sign_hex(self, message: &[u8]) -> String {
        let Self(mut state) = self;
        state.update(message);
        const_hex::encode(state.into_bytes())
    }
}

/// A secret of 256 bits that differs from process to process, from the seeds of the standard library's hash maps.
/// Nothing rests on it: what a decoy verifies is refused.
fn nobodys_secret() -> Result<Secrets, ConfigError> {
    let random = std::array::from_fn::<_, 4, _>(|word| RandomState::new().hash_one(word));
    let text = random.map(|word| format!("{word:016x}")).concat();
    Ok(Secret::new(text)?.into())
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
