//! What the targets share: a MAC that is not computed by the crate under test, and the keys it is made with.

use arbitrary::Arbitrary;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use tower_webhook::{Encoding, Secret, Secrets, SignatureScheme};

/// The labels and texts of the secrets that are configured.
pub const KEYS: [(&str, &str); 2] =
    [("first", "the-first-signing-secret"), ("second", "the-second-signing-secret")];

/// What makes a signature.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Algorithm {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    /// The scheme to start from.
    pub fn scheme(self, header: &str) -> SignatureScheme {
        match self {
            Self::Sha1 => SignatureScheme::hmac_sha1(header),
            Self::Sha256 => SignatureScheme::hmac_sha256(header),
            Self::Sha384 => SignatureScheme::hmac_sha384(header),
            Self::Sha512 => SignatureScheme::hmac_sha512(header),
        }
    }

    /// The MAC under a key of [`KEYS`].
    pub fn mac(self, key: usize, message: &[u8]) -> Vec<u8> {
        macro_rules! mac {
            ($hash:ty) => {{
                let mut mac = Hmac::<$hash>::new_from_slice(KEYS[key].1.as_bytes()).unwrap();
                mac.update(message);
                mac.finalize().into_bytes().to_vec()
            }};
        }
        match self {
            Self::Sha1 => mac!(Sha1),
            Self::Sha256 => mac!(Sha256),
            Self::Sha384 => mac!(Sha384),
            Self::Sha512 => mac!(Sha512),
        }
    }
}

/// How a signature is written.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Written {
    Hex,
    Base64,
    Base64Url,
}

impl Written {
    pub fn encoding(self) -> Encoding {
        match self {
            Self::Hex => Encoding::Hex,
            Self::Base64 => Encoding::Base64,
            Self::Base64Url => Encoding::Base64Url,
        }
    }

    pub fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => const_hex::encode(bytes),
            Self::Base64 => STANDARD.encode(bytes),
            Self::Base64Url => URL_SAFE.encode(bytes),
        }
    }

    /// Whether `text` is one of the ways to write `bytes`: digits of either case, base64 in one way, and with or
    /// without padding where it is made for URLs.
    pub fn is(self, text: &[u8], bytes: &[u8]) -> bool {
        let canonical = self.encode(bytes);
        match self {
            Self::Hex => text.eq_ignore_ascii_case(canonical.as_bytes()),
            Self::Base64 => text == canonical.as_bytes(),
            Self::Base64Url => {
                text == canonical.as_bytes() || text == canonical.trim_end_matches('=').as_bytes()
            }
        }
    }
}

/// [`KEYS`] as a receiver holds them.
pub fn secrets() -> Secrets {
    let secrets = KEYS.map(|(label, text)| (label.to_owned(), Secret::new(text).unwrap()));
    Secrets::labelled(secrets).unwrap()
}

/// A header's value without the blanks around it.
pub fn trimmed(mut value: &[u8]) -> &[u8] {
    while let Some((b' ' | b'\t', rest)) = value.split_first() {
        value = rest;
    }
    while let Some((b' ' | b'\t', rest)) = value.split_last() {
        value = rest;
    }
    value
}
