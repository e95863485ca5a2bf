//! Ed25519, as strict as RFC 8032 has it.

use ed25519_dalek::{Signature, VerifyingKey};

/// Whether one of `candidates`, 64 bytes each, is a signature of `message`: not one that was made from another by
/// adding the order of the group, and none under a key of small order.
pub(super) fn verifies(key: &VerifyingKey, message: &[u8], candidates: &[u8]) -> bool {
    let (candidates, _) = candidates.as_chunks::<64>();
    candidates.iter().any(|candidate| key.verify_strict(message, &Signature::from_bytes(candidate)).is_ok())
}
