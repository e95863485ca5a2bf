//! The MAC: keyed once, cloned for every request, compared in constant time.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// A keyed hash in progress, or what stands for it.
///
/// SHA-256 is what nearly everybody signs with: it stands by itself and is worked on in place, and the others behind a
/// pointer, where they neither enlarge every request's future nor slow it.
#[derive(Clone)]
pub(crate) enum MacState {
    Sha256(Hmac<Sha256>),
    Other(Box<OtherMac>),
}

#[derive(Clone)]
pub(crate) enum OtherMac {
    Sha1(Hmac<Sha1>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
    /// A token is compared by its digest, so that neither its length nor its text shows in the time it takes.
    Token(Zeroizing<[u8; 32]>),
}

/// Which MAC a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MacKind {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
    Token,
}

impl MacKind {
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 | Self::Token => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl MacState {
    pub(crate) fn keyed(kind: MacKind, key: &[u8]) -> Self {
        let other = match kind {
            MacKind::Sha256 => return Self::Sha256(keyed(key)),
            MacKind::Sha1 => OtherMac::Sha1(keyed(key)),
            MacKind::Sha384 => OtherMac::Sha384(keyed(key)),
            MacKind::Sha512 => OtherMac::Sha512(keyed(key)),
            MacKind::Token => OtherMac::Token(Zeroizing::new(token_digest(key))),
        };
        Self::Other(Box::new(other))
    }

    #[inline]
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(mac) => mac.update(bytes),
            Self::Other(mac) => mac.update(bytes),
        }
    }

    /// Whether one of `candidates`, which stand one after the other, is this MAC. Every candidate is compared, all
    /// bytes of it, whatever matched before.
    #[inline]
    pub(crate) fn matches(self, candidates: &[u8]) -> bool {
        match self {
            Self::Sha256(mac) => is_among::<32>(mac.finalize().into_bytes().as_ref(), candidates),
            Self::Other(mac) => mac.matches(candidates),
        }
    }

    /// The MAC itself, for signing.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Sha256(mac) => mac.finalize().into_bytes().to_vec(),
            Self::Other(mac) => mac.into_bytes(),
        }
    }
}

impl OtherMac {
    #[inline(never)]
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(mac) => mac.update(bytes),
            Self::Sha384(mac) => mac.update(bytes),
            Self::Sha512(mac) => mac.update(bytes),
            Self::Token(_) => {}
        }
    }

    #[inline(never)]
    fn matches(self, candidates: &[u8]) -> bool {
        match self {
            Self::Sha1(mac) => is_among::<20>(mac.finalize().into_bytes().as_ref(), candidates),
            Self::Sha384(mac) => is_among::<48>(mac.finalize().into_bytes().as_ref(), candidates),
            Self::Sha512(mac) => is_among::<64>(mac.finalize().into_bytes().as_ref(), candidates),
            Self::Token(digest) => is_among::<32>(&digest, candidates),
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Sha1(mac) => mac.finalize().into_bytes().to_vec(),
            Self::Sha384(mac) => mac.finalize().into_bytes().to_vec(),
            Self::Sha512(mac) => mac.finalize().into_bytes().to_vec(),
            Self::Token(digest) => digest.to_vec(),
        }
    }
}

#[inline]
fn is_among<const N: usize>(mac: &[u8; N], candidates: &[u8]) -> bool {
    let (candidates, _) = candidates.as_chunks::<N>();
    bool::from(candidates.iter().fold(Choice::from(0), |right, candidate| right | equal(mac, candidate)))
}

fn keyed<M: KeyInit>(key: &[u8]) -> M {
    // Invariant: HMAC takes keys of every length.
    M::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of every length"))
}

/// What a token is compared by.
pub(crate) fn token_digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Compares all bytes in constant time, eight at once: byte by byte it would cost a tenth of a small MAC.
#[inline]
fn equal<const N: usize>(left: &[u8; N], right: &[u8; N]) -> Choice {
    let ((words, rest), (other_words, other_rest)) = (left.as_chunks::<8>(), right.as_chunks::<8>());
    words.iter().zip(other_words).fold(rest.ct_eq(other_rest), |equal, (left, right)| {
        equal & u64::from_ne_bytes(*left).ct_eq(&u64::from_ne_bytes(*right))
    })
}

impl fmt::Debug for MacState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MacState").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(kind: MacKind, key: &[u8], message: &[u8]) -> Vec<u8> {
        let mut state = MacState::keyed(kind, key);
        state.update(message);
        state.into_bytes()
    }

    /// RFC 4231, cases 1 to 4, 6 and 7 (case 5 is about truncated MACs, which are never accepted here), and RFC 2202,
    /// case 1 to 3, for SHA-1.
    #[test]
    fn agrees_with_the_rfcs() {
        let counting: Vec<u8> = (1..=25).collect();
        let hashed_key = b"Test Using Larger Than Block-Size Key - Hash Key First";
        let hashed_key_long_data = b"This is a test using a larger than block-size key and a larger than \
            block-size data. The key needs to be hashed before being used by the HMAC algorithm.";
        let cases: [(&[u8], &[u8], &str); 6] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (&counting, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
            (&[0xaa; 131], hashed_key, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
            (
                &[0xaa; 131],
                hashed_key_long_data,
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, message, expected) in cases {
            assert_eq!(const_hex::encode(mac(MacKind::Sha256, key, message)), expected);
        }
        let others: [(MacKind, &[u8], &[u8], &str); 7] = [
            (
                MacKind::Sha384,
                &[0x0b; 20],
                b"Hi There",
                "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
            ),
            (
                MacKind::Sha384,
                b"Jefe",
                b"what do ya want for nothing?",
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                MacKind::Sha512,
                &[0x0b; 20],
                b"Hi There",
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4\
                 be9d914eeb61f1702e696c203a126854",
            ),
            (
                MacKind::Sha512,
                b"Jefe",
                b"what do ya want for nothing?",
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd\
                 caeab1a34d4a6b4b636e070a38bce737",
            ),
            (MacKind::Sha1, &[0x0b; 20], b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
            (
                MacKind::Sha1,
                b"Jefe",
                b"what do ya want for nothing?",
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            ),
            (MacKind::Sha1, &[0xaa; 20], &[0xdd; 50], "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
        ];
        for (kind, key, message, expected) in others {
            assert_eq!(const_hex::encode(mac(kind, key, message)), expected, "{kind:?}");
            assert_eq!(kind.size(), expected.len() / 2);
        }
    }

    #[test]
    fn any_candidate_matches_and_every_byte_counts() {
        for kind in [MacKind::Sha1, MacKind::Sha256, MacKind::Sha384, MacKind::Sha512] {
            let right = mac(kind, b"one", b"body");
            let matches = |candidates: &[&[u8]]| {
                let mut state = MacState::keyed(kind, b"one");
                state.update(b"bo");
                state.update(b"dy");
                state.matches(&candidates.concat())
            };
            let wrong = mac(kind, b"two", b"body");
            assert!(matches(&[&right]) && matches(&[&wrong, &right]) && matches(&[&right, &wrong, &wrong]));
            assert!(!matches(&[]) && !matches(&[&wrong]) && !matches(&[&wrong, &wrong]));
            for byte in 0..kind.size() {
                let mut candidate = right.clone();
                candidate[byte] ^= 1;
                assert!(!matches(&[&candidate]), "{kind:?} byte {byte}");
            }
        }
    }

    #[test]
    fn a_token_is_compared_whole() {
        let matches =
            |token: &[u8]| MacState::keyed(MacKind::Token, b"a-token").matches(&token_digest(token));
        assert!(matches(b"a-token"));
        for token in [&b""[..], b"a-toke", b"a-token ", b"A-token", b"a-tokenn"] {
            assert!(!matches(token));
        }
    }

    /// Compiles only while what the layer keeps of a secret is wiped where it is dropped. `Hmac` does not say so of
    /// itself: it is two states of its hash and a block, and those do.
    #[test]
    fn t014_keyed_states_are_wiped() {
        fn wiped<T: zeroize::ZeroizeOnDrop>() {}
        wiped::<Sha1>();
        wiped::<Sha256>();
        wiped::<Sha384>();
        wiped::<Sha512>();
    }
}
