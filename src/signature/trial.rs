//! Trying other keys, bodies and times on one request, for whoever asks why it does not verify.

use std::borrow::Cow;

use http::{Method, Uri};
use zeroize::Zeroizing;

use super::grammar::Decoding;
use super::keyring::{KeyKind, decode};
use super::mac::{MacKind, MacState};
use super::resolved::{Presented, ResolvedScheme};
use super::secret::Secret;
use super::template::{Filling, Head, PublicUrl};
use super::timestamp::SignedTimestamp;
use crate::error::ConfigError;

/// What is tried, each in the place of what the request has.
#[derive(Clone)]
pub(crate) struct Trial<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) body: &'a [u8],
    pub(crate) timestamp: Option<&'a [u8]>,
    pub(crate) url: Option<&'a PublicUrl>,
}

impl ResolvedScheme {
    /// Whether some candidate is the signature of what is tried.
    pub(crate) fn holds(&self, head: Head<'_>, presented: &Presented, trial: &Trial<'_>) -> bool {
        let own = presented.timestamp.as_ref().map_or(&[][..], SignedTimestamp::text);
        let filling =
            Filling { head, timestamp: trial.timestamp.unwrap_or(own), url: trial.url.or(self.url()) };
        let mut message = Vec::with_capacity(trial.body.len() + 64);
        self.template().whole(&filling, trial.body, |bytes| message.extend_from_slice(bytes));
        self.signs(trial.key, &message, presented)
    }

    /// Whether some candidate is the signature of these very bytes.
    pub(crate) fn signs(&self, key: &[u8], message: &[u8], presented: &Presented) -> bool {
        match self.key().kind {
            KeyKind::Mac(kind) => {
                let mut mac = MacState::keyed(kind, key);
                mac.update(message);
                mac.matches(&presented.candidates)
            }
            #[cfg(feature = "ed25519")]
            KeyKind::Ed25519 => {
                let key = <&[u8; 32]>::try_from(key).ok();
                let key = key.and_then(|key| ed25519_dalek::VerifyingKey::from_bytes(key).ok());
                key.is_some_and(|key| {
                    !key.is_weak() && super::ed25519::verifies(&key, message, &presented.candidates)
                })
            }
        }
    }

    /// The bytes of the key, of any length but zero.
    pub(crate) fn key_of(&self, secret: &Secret) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        decode(self.key(), "given", secret)
    }

    /// Whether the sender signs with a private key, so that the receiver has a public one.
    pub(crate) fn is_asymmetric(&self) -> bool {
        !matches!(self.key().kind, KeyKind::Mac(_))
    }

    /// Whether the secret is sent as it is.
    pub(crate) fn is_token(&self) -> bool {
        matches!(self.key().kind, KeyKind::Mac(MacKind::Token))
    }

    /// How a signature is written, in words.
    pub(crate) fn signature_form(&self) -> Cow<'static, str> {
        match self.decoding() {
            Decoding::Encoded(encoding, bytes) => format!("{bytes} bytes in {}", encoding.name()).into(),
            Decoding::Token => "the token".into(),
        }
    }
}

/// The public key of an Ed25519 seed.
#[cfg(feature = "ed25519")]
pub(crate) fn public_key(seed: &[u8; 32]) -> [u8; 32] {
    ed25519_dalek::SigningKey::from_bytes(seed).verifying_key().to_bytes()
}

/// A head of which nothing is known but its headers.
pub(crate) fn post<'a>(uri: &'a Uri, headers: &'a http::HeaderMap) -> Head<'a> {
    Head { method: &Method::POST, uri, headers }
}
