//! What the store keeps of a key, and where that goes: [`ShortKey`] and [`KeyHasher`].

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use crate::dedup::DedupKey;

/// Half of a key. It is a cryptographic digest, and 128 bits of it suffice to tell events apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ShortKey([u8; 16]);

impl ShortKey {
    pub(super) fn new(key: &DedupKey) -> Self {
        let [short, _] = halves(key);
        Self(short)
    }
}

impl Hash for ShortKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

fn halves(key: &DedupKey) -> [[u8; 16]; 2] {
    let mut halves = [[0; 16]; 2];
    halves.as_flattened_mut().copy_from_slice(key.as_bytes());
    halves
}

/// Spreads keys over shards and buckets with one multiplication by a secret of the store.
///
/// A key is already a digest and needs no hashing, but it is one that a sender can compute: without the
/// secret it could try ids until they all meet in one shard or one bucket.
#[derive(Clone, Copy)]
pub(super) struct KeyHasher {
    /// Odd, and so never zero, which would send everything to one place.
    secret: u64,
}

impl KeyHasher {
    pub(super) fn random() -> Self {
        Self { secret: RandomState::new().hash_one(()) | 1 }
    }

    /// Which of `shards` holds `key`, from bytes that the bucket does not depend on.
    pub(super) fn shard(self, key: &DedupKey, shards: usize) -> usize {
        let [_, rest] = halves(key);
        let mut hash = self.build_hasher();
        hash.write(&rest);
        // A remainder by a usize is below it and fits.
        usize::try_from(hash.finish() % shards as u64).unwrap_or_default()
    }
}

impl BuildHasher for KeyHasher {
    type Hasher = KeyHash;

    fn build_hasher(&self) -> KeyHash {
        KeyHash { secret: self.secret, hash: 0 }
    }
}

pub(super) struct KeyHash {
    secret: u64,
    hash: u64,
}

impl Hasher for KeyHash {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(word) = bytes.first_chunk() {
            // Both halves of the product, so that every bit of the word reaches the low ones.
            let product = u128::from(u64::from_le_bytes(*word)) * u128::from(self.secret);
            #[expect(clippy::cast_possible_truncation, reason = "takes the halves apart")]
            let (high, low) = ((product >> 64) as u64, product as u64);
            self.hash = high ^ low;
        }
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn key(n: u32) -> DedupKey {
        DedupKey::new("scope", "type", &n.to_string())
    }

    #[test]
    fn the_short_key_is_the_first_half() {
        let mut bytes = *key(1).as_bytes();
        let short = ShortKey::new(&key(1));
        assert_eq!(short.0, bytes[..16]);
        bytes[16..].fill(0);
        assert!(ShortKey::new(&bytes.into()) == short);
        bytes[15] ^= 1;
        assert!(ShortKey::new(&bytes.into()) != short);
    }

    /// A digest that a sender tried ids for: zero wherever a table without a secret would look.
    fn chosen(n: u64, shift: u32) -> DedupKey {
        let mut bytes = [0; 32];
        bytes.chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&(n << shift).to_le_bytes()));
        bytes.into()
    }

    #[test]
    fn chosen_digests_spread_over_shards_and_buckets() {
        let hasher = KeyHasher { secret: 0x9e37_79b9_7f4a_7c15 };
        for shift in [0, 12, 32, 48] {
            let mut shards = [0_u32; 16];
            let mut buckets = HashSet::new();
            for n in 0..4_096 {
                shards[hasher.shard(&chosen(n, shift), 16)] += 1;
                buckets.insert(hasher.hash_one(ShortKey::new(&chosen(n, shift))) & 0xfff);
                assert_eq!(hasher.shard(&chosen(n, shift), 1), 0);
            }
            // Chance puts 256 into each shard and hits 2,589 of the 4,096 buckets.
            assert!(shards.iter().all(|count| (128..512).contains(count)), "{shift}: {shards:?}");
            assert!(buckets.len() > 2_000, "{shift}: {}", buckets.len());
        }
    }

    #[test]
    fn the_hash_folds_the_halves_of_the_product() {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        bytes[16..24].copy_from_slice(&u64::MAX.to_le_bytes());
        // (2^64 - 1) * 11 is 10 above and 2^64 - 11 below; their exclusive or is -11 ^ 10 = -1.
        let hasher = KeyHasher { secret: 11 };
        assert_eq!(hasher.hash_one(ShortKey::new(&bytes.into())), u64::MAX);
        assert_eq!(hasher.shard(&bytes.into(), 16), 15);
        // 1 << 63 times 11 is 5 above and 1 << 63 below.
        bytes[..8].copy_from_slice(&(1_u64 << 63).to_le_bytes());
        assert_eq!(hasher.hash_one(ShortKey::new(&bytes.into())), (1 << 63) | 5);
    }

    #[test]
    fn the_secret_decides_where_a_digest_goes() {
        let hash = |secret| KeyHasher { secret }.hash_one(ShortKey::new(&key(1)));
        let shard = |secret| KeyHasher { secret }.shard(&key(1), 1 << 16);
        let secrets = [3, 0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03];
        assert_eq!(secrets.map(hash).into_iter().collect::<HashSet<_>>().len(), 3);
        assert_eq!(secrets.map(shard).into_iter().collect::<HashSet<_>>().len(), 3);
    }

    #[test]
    fn digests_spread_over_tags() {
        let hasher = KeyHasher::random();
        let tags: HashSet<u64> = (0..4_096).map(|n| hasher.hash_one(ShortKey::new(&key(n))) >> 57).collect();
        assert_eq!(tags.len(), 128);
    }

    #[test]
    fn the_shard_does_not_depend_on_what_the_bucket_depends_on() {
        let hasher = KeyHasher::random();
        let mut bytes = *key(1).as_bytes();
        let (shard, hash) = (hasher.shard(&key(1), 16), hasher.hash_one(ShortKey::new(&key(1))));
        bytes[..16].fill(0);
        assert_eq!(hasher.shard(&bytes.into(), 16), shard);
        let mut bytes = *key(1).as_bytes();
        bytes[16..].fill(0);
        assert_eq!(hasher.hash_one(ShortKey::new(&bytes.into())), hash);
    }

    #[test]
    fn secrets_are_odd_and_differ() {
        let secrets: HashSet<u64> = (0..64).map(|_| KeyHasher::random().secret).collect();
        assert_eq!(secrets.len(), 64);
        assert!(secrets.iter().all(|secret| secret % 2 == 1));
    }
}
