//! Signing, for tests: the same description, from the sender's side.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

#[cfg(feature = "ed25519")]
use super::encoding::KeyEncoding;
use super::keyring::{KeyKind, decode};
use super::mac::{MacKind, MacState};
use super::resolved::ResolvedScheme;
use super::secret::{SOLE_LABEL, Secret};
use super::template::{Filling, Head};
use crate::error::ConfigError;

/// What is signed beside the body.
pub(crate) struct ToSign<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) timestamp: &'a str,
    pub(crate) body: &'a [u8],
}

impl ResolvedScheme {
    /// Adds the headers that a sender would, but for the signature, and those that are there.
    pub(crate) fn complete_headers(&self, timestamp: &str, headers: &mut HeaderMap) {
        let mut set = |name: &HeaderName, value: &str| {
            if !headers.contains_key(name)
                && let Ok(value) = HeaderValue::try_from(value)
            {
                headers.insert(name.clone(), value);
            }
        };
        if let Some(name) = self.timestamp_header() {
            set(name, timestamp);
        }
        for (name, value) in self.required_headers() {
            set(name, value.to_str().unwrap_or_default());
        }
        for names in self.template().headers() {
            set(names.first(), "signed-header-value");
        }
        // The label of a secret that is given alone.
        if let Some(name) = self.key_id_header() {
            set(name, SOLE_LABEL);
        }
    }

    /// The value of the signature header.
    pub(crate) fn sign(&self, secret: &Secret, to_sign: &ToSign<'_>) -> Result<String, ConfigError> {
        let key = decode(self.key(), "signing", secret)?;
        let head = Head { method: &Method::POST, uri: &Uri::default(), headers: to_sign.headers };
        let filling = Filling { head, timestamp: to_sign.timestamp.as_bytes(), url: self.url() };
        let mut message = Vec::with_capacity(to_sign.body.len() + 64);
        self.template().whole(&filling, to_sign.body, |bytes| message.extend_from_slice(bytes));
        let signature = match self.key().kind {
            KeyKind::Mac(MacKind::Token) => key.to_vec(),
            KeyKind::Mac(kind) => {
                let mut mac = MacState::keyed(kind, &key);
                mac.update(&message);
                mac.into_bytes()
            }
            #[cfg(feature = "ed25519")]
            KeyKind::Ed25519 => {
                use ed25519_dalek::Signer as _;
                signing_key(&key)?.sign(&message).to_bytes().to_vec()
            }
        };
        Ok(self.header_value(to_sign.timestamp, &signature))
    }

    /// The secret that verifies what `secret` signs: for Ed25519 the public key of the seed, else the same.
    pub(crate) fn verifying_secret(&self, secret: &Secret) -> Result<Secret, ConfigError> {
        match self.key().kind {
            KeyKind::Mac(_) => {
                let text = secret.expose();
                if secret.is_weak() { Secret::weak(text) } else { Secret::new(text) }
            }
            #[cfg(feature = "ed25519")]
            KeyKind::Ed25519 => {
                let public = signing_key(&decode(self.key(), "signing", secret)?)?.verifying_key();
                Secret::new(encode(self.key().encoding, public.as_bytes()))
            }
        }
    }
}

#[cfg(feature = "ed25519")]
fn signing_key(seed: &[u8]) -> Result<ed25519_dalek::SigningKey, ConfigError> {
    let undecodable = |_| ConfigError::UndecodableSecret {
        label: "signing".to_owned(),
        expected: "an Ed25519 seed of 32 bytes",
    };
    Ok(ed25519_dalek::SigningKey::from_bytes(seed.try_into().map_err(undecodable)?))
}

#[cfg(feature = "ed25519")]
fn encode(encoding: KeyEncoding, key: &[u8]) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    match encoding {
        KeyEncoding::Base64 => STANDARD.encode(key),
        KeyEncoding::Base64Url => URL_SAFE.encode(key),
        KeyEncoding::Hex | KeyEncoding::Utf8 => const_hex::encode(key),
    }
}
