//! How bytes are written as text: signatures in headers, keys as providers show them.

use base64::Engine as _;
use base64::alphabet::{STANDARD as STANDARD_ALPHABET, URL_SAFE as URL_SAFE_ALPHABET};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// The longest signature that is compared: HMAC-SHA512, or Ed25519.
pub(crate) const MAX_SIGNATURE_BYTES: usize = 64;

/// Eighty-eight characters of base64 may be 66 bytes.
const DECODE_BYTES: usize = MAX_SIGNATURE_BYTES + 2;

const UNPADDED: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const URL_SAFE_UNPADDED: GeneralPurpose = GeneralPurpose::new(&URL_SAFE_ALPHABET, UNPADDED);
const STANDARD_UNPADDED: GeneralPurpose = GeneralPurpose::new(&STANDARD_ALPHABET, UNPADDED);

/// How a signature, or a digest, is written.
///
/// Base64 is canonical in both alphabets: where the last character has bits that stand for nothing, they are zero.
/// Otherwise one signature could be written in several ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// Hexadecimal digits of either case.
    Hex,
    /// Base64 in the standard alphabet, padded.
    Base64,
    /// Base64 in the alphabet that is safe in URLs, padded or not. What is written here is not padded.
    Base64Url,
}

impl Encoding {
    /// Decodes to exactly `size` bytes, which are appended by `keep`.
    #[inline]
    pub(crate) fn decode(self, text: &[u8], size: usize, keep: impl FnOnce(&[u8])) {
        let mut buffer = [0; DECODE_BYTES];
        // The length first: it is cheap, and the decoder of digits would take a leading `0x`.
        let length = match self {
            Self::Hex if text.len() == 2 * size => {
                const_hex::decode_to_slice(text, &mut buffer[..size]).ok().map(|()| size)
            }
            Self::Base64 if text.len() == size.div_ceil(3) * 4 => {
                STANDARD.decode_slice(text, &mut buffer).ok()
            }
            Self::Base64Url if text.len() <= size.div_ceil(3) * 4 => {
                URL_SAFE_UNPADDED.decode_slice(text, &mut buffer).ok()
            }
            _ => None,
        };
        if length == Some(size) {
            keep(&buffer[..size]);
        }
    }

    pub(crate) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => const_hex::encode(bytes),
            Self::Base64 => STANDARD.encode(bytes),
            // Senders that write it leave the padding out, and some receivers compare the text.
            Self::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
        }
    }

    /// Whether this encoding may write `byte`.
    pub(crate) fn writes(self, byte: u8) -> bool {
        match self {
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            Self::Base64Url => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'='),
        }
    }

    /// In words, for descriptions.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
        }
    }
}

/// What a provider's secret, as it is shown, says about the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyEncoding {
    /// The text itself is the key.
    Utf8,
    /// Hexadecimal digits of the key.
    Hex,
    /// Base64 of the key in the standard alphabet, padded or not.
    Base64,
    /// Base64 of the key in the alphabet that is safe in URLs, padded or not.
    Base64Url,
}

impl KeyEncoding {
    pub(crate) fn decode(self, text: &str) -> Option<Zeroizing<Vec<u8>>> {
        let key = match self {
            Self::Utf8 => Some(text.as_bytes().to_vec()),
            // The decoder would take a leading `0x`, which no provider writes.
            Self::Hex if text.starts_with("0x") => None,
            Self::Hex => const_hex::decode(text).ok(),
            Self::Base64 => STANDARD_UNPADDED.decode(text).ok(),
            Self::Base64Url => URL_SAFE_UNPADDED.decode(text).ok(),
        };
        key.map(Zeroizing::new)
    }

    /// In words, for errors and descriptions.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "text",
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(encoding: Encoding, text: &str, size: usize) -> Option<Vec<u8>> {
        let mut decoded = None;
        encoding.decode(text.as_bytes(), size, |bytes| decoded = Some(bytes.to_vec()));
        decoded
    }

    #[test]
    fn every_size_that_is_compared_makes_a_round_trip() {
        for size in [20, 32, 48, 64] {
            let bytes: Vec<u8> = (0..).map(|byte: u8| byte.wrapping_mul(37) | 0x81).take(size).collect();
            for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64Url] {
                let text = encoding.encode(&bytes);
                assert_eq!(decode(encoding, &text, size), Some(bytes.clone()), "{encoding:?} {size}");
                assert_eq!(decode(encoding, &text, size - 1), None, "{encoding:?} {size}");
                assert_eq!(decode(encoding, &text, size + 1), None, "{encoding:?} {size}");
                assert_eq!(decode(encoding, &format!("{text}\n"), size), None);
                assert_eq!(decode(encoding, &text[1..], size), None);
            }
            assert_eq!(
                decode(Encoding::Hex, &Encoding::Hex.encode(&bytes).to_uppercase(), size),
                Some(bytes)
            );
        }
    }

    #[test]
    fn padding_is_as_the_encoding_says() {
        let bytes = [0xfb; 32];
        let padded = Encoding::Base64.encode(&bytes);
        assert_eq!(decode(Encoding::Base64, padded.trim_end_matches('='), 32), None);
        let url = Encoding::Base64Url.encode(&bytes);
        assert!(url.contains(['-', '_']) && !url.contains(['+', '/']));
        assert!(!url.contains('='));
        assert_eq!(decode(Encoding::Base64Url, &format!("{url}="), 32), Some(bytes.to_vec()));
        assert_eq!(decode(Encoding::Base64Url, &format!("{url}=="), 32), None);
        assert_eq!(decode(Encoding::Base64Url, &padded, 32), None, "the other alphabet");
        assert_eq!(decode(Encoding::Base64, &url, 32), None, "the other alphabet");
    }

    #[test]
    fn base64_is_canonical() {
        for encoding in [Encoding::Base64, Encoding::Base64Url] {
            let text = encoding.encode(&[0xab; 32]);
            // Same 32 bytes, but an unused bit of the last character is set.
            let last = text.trim_end_matches('=').len() - 1;
            assert_eq!(&text[last..=last], "s");
            let loose = format!("{}t{}", &text[..last], &text[last + 1..]);
            assert_eq!(decode(encoding, &loose, 32), None);
        }
    }

    #[test]
    fn keys_are_decoded_or_refused() {
        let key = |encoding: KeyEncoding, text| encoding.decode(text).map(|key| key.to_vec());
        assert_eq!(key(KeyEncoding::Utf8, "00ff"), Some(b"00ff".to_vec()));
        assert_eq!(key(KeyEncoding::Hex, "00fF"), Some(vec![0, 255]));
        for text in ["0x00ff", "0", "0g", "00 ff"] {
            assert_eq!(key(KeyEncoding::Hex, text), None, "{text}");
        }
        for text in ["+/8=", "+/8"] {
            assert_eq!(key(KeyEncoding::Base64, text), Some(vec![0xfb, 0xff]), "{text}");
        }
        assert_eq!(key(KeyEncoding::Base64Url, "-_8"), Some(vec![0xfb, 0xff]));
        for (encoding, text) in [(KeyEncoding::Base64, "-_8="), (KeyEncoding::Base64Url, "+/8=")] {
            assert_eq!(key(encoding, text), None, "{text}");
        }
    }
}
