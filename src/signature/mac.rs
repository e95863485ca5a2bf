//! The MAC: keyed once, cloned for every request, compared in constant time.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use smallvec::SmallVec;
use subtle::{Choice, ConstantTimeEq};

use super::secret::Secrets;

pub(crate) const MAC_BYTES: usize = 32;

/// One keyed hash state for every secret. The secrets themselves are not kept.
pub(crate) struct Keyring {
    keys: Box<[(Arc<str>, Hmac<Sha256>)]>,
}

impl Keyring {
    pub(crate) fn new(secrets: &Secrets) -> Self {
        let keys = secrets.iter().map(|(label, secret)| (Arc::from(label), keyed(secret.key())));
        Self { keys: keys.collect() }
    }

    /// A keyring for signing.
    #[cfg(feature = "testing")]
    pub(crate) fn of_one(secret: &super::Secret) -> Self {
        Self { keys: Box::new([(Arc::from("signing"), keyed(secret.key()))]) }
    }

    /// How many MACs a verification computes.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn label(&self, index: usize) -> &Arc<str> {
        &self.keys[index].0
    }

    #[inline]
    pub(crate) fn begin(&self) -> Macs {
        Macs { states: self.keys.iter().map(|(_, key)| key.clone()).collect() }
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // Invariant: HMAC takes keys of every length.
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of every length"))
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(label, _)| label)).finish()
    }
}

/// MACs in progress, one for every secret, fed in a single pass.
pub(crate) struct Macs {
    states: SmallVec<[Hmac<Sha256>; 1]>,
}

impl Macs {
    #[inline]
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for state in &mut self.states {
            state.update(bytes);
        }
    }

    /// The index of the secret under which some candidate is right.
    ///
    /// Every candidate is compared with every MAC, all bytes of it, whatever matched before.
    #[inline]
    pub(crate) fn matches(&mut self, candidates: &[[u8; MAC_BYTES]]) -> Option<usize> {
        let mut matched = None;
        for (index, state) in self.states.drain(..).enumerate() {
            let mac = state.finalize().into_bytes().into();
            let mut right = Choice::from(0);
            for candidate in candidates {
                right |= equal(&mac, candidate);
            }
            if bool::from(right) && matched.is_none() {
                matched = Some(index);
            }
        }
        matched
    }

    /// The MAC under the first secret, for signing.
    #[cfg(feature = "testing")]
    pub(crate) fn sign(self) -> Vec<u8> {
        self.states.into_iter().next().map(|state| state.finalize().into_bytes().to_vec()).unwrap_or_default()
    }
}

/// Compares all bytes in constant time, eight at once: byte by byte it would cost a tenth of a small MAC.
fn equal(left: &[u8; MAC_BYTES], right: &[u8; MAC_BYTES]) -> Choice {
    let words = left.as_chunks::<8>().0.iter().zip(right.as_chunks::<8>().0);
    words.fold(Choice::from(1), |equal, (left, right)| {
        equal & u64::from_ne_bytes(*left).ct_eq(&u64::from_ne_bytes(*right))
    })
}

impl fmt::Debug for Macs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Macs").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::Secret;

    fn mac(key: &[u8], message: &[u8]) -> [u8; MAC_BYTES] {
        let mut state = keyed(key);
        state.update(message);
        state.finalize().into_bytes().into()
    }

    /// Cases 1 to 4, 6 and 7; case 5 is about truncated MACs, which are never accepted here.
    #[test]
    fn agrees_with_rfc_4231() {
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
            assert_eq!(const_hex::encode(mac(key, message)), expected);
        }
    }

    /// Compiles only while all that the layer keeps of a secret is wiped where it is dropped. `Hmac` does not
    /// say so of itself: it is two states of SHA-256 and a block, and those do.
    #[test]
    fn t014_keyed_states_are_wiped() {
        fn wiped<T: zeroize::ZeroizeOnDrop>() {}
        wiped::<Sha256>();
        let Keyring { keys } = Keyring::new(&Secrets::new(Secret::weak("one").unwrap()));
        let _: &[(Arc<str>, Hmac<Sha256>)] = &keys;
    }

    #[test]
    fn any_candidate_under_any_secret_matches() {
        let secrets = Secrets::new(Secret::weak("one").unwrap())
            .with_secret("two", Secret::weak("two").unwrap())
            .unwrap();
        let keyring = Keyring::new(&secrets);
        let verify = |candidates: &[[u8; MAC_BYTES]]| {
            let mut macs = keyring.begin();
            macs.update(b"bo");
            macs.update(b"dy");
            macs.matches(candidates)
        };
        let (one, two, wrong) = (mac(b"one", b"body"), mac(b"two", b"body"), mac(b"three", b"body"));
        assert_eq!(verify(&[one]), Some(0));
        assert_eq!(verify(&[two]), Some(1));
        assert_eq!(verify(&[wrong, two]), Some(1));
        assert_eq!(verify(&[two, one]), Some(0));
        assert_eq!(verify(&[two, wrong, wrong]), Some(1));
        assert_eq!(verify(&[wrong]), None);
        assert_eq!(verify(&[]), None);
        assert_eq!(&**keyring.label(1), "two");
        assert_eq!(keyring.len(), 2);
    }

    #[test]
    fn every_byte_counts() {
        let keyring = Keyring::new(&Secrets::new(Secret::weak("one").unwrap()));
        for byte in 0..MAC_BYTES {
            let mut candidate = mac(b"one", b"body");
            candidate[byte] ^= 1;
            let mut macs = keyring.begin();
            macs.update(b"body");
            assert_eq!(macs.matches(&[candidate]), None, "byte {byte}");
        }
    }
}
