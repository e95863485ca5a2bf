//! Convoy, in the two forms of signature that whoever runs it chooses from. What a form leaves open is taken as it is
//! by default: SHA-512 in hexadecimal digits, and the header `X-Convoy-Signature`.
//!
//! - Signature of [`provider`]: `X-Convoy-Signature: <hex>`, HMAC-SHA512 over the body. **No timestamp is signed**: a
//!   captured request stays valid, and the retention of done marks is the replay window.
//! - Signature of [`advanced`]: `X-Convoy-Signature: t=<Unix seconds>,v1=<hex>`, HMAC-SHA256 over `<t>,<body>`. No
//!   tolerance is documented: 300 s.
//! - Answer deadline and retries: whoever runs it decides.
//! - Event: the body is the publisher's, and may repeat. It is not read: one delivery of the type `convoy.events`. With
//!   advanced signatures the digest of what is signed, the time among it, tells it from others; with simple ones
//!   **nothing identifies an event**, and a retry runs again, unless you
//!   [trust](Provider::identify_by_unsigned_header) the header `x-convoy-idempotency-key`, which is there if the
//!   publisher set it, and is **not signed**.

use super::{Provider, ProviderBuilder, preset};
use crate::envelope::Envelope;
use crate::signature::{Part, SignatureScheme};

/// Convoy with simple signatures.
#[must_use]
pub fn provider() -> Provider {
    let scheme = SignatureScheme::hmac_sha512("x-convoy-signature");
    preset(builder(Envelope::unidentified()).signature(scheme))
}

/// Convoy with advanced signatures, which cover a timestamp.
#[must_use]
pub fn advanced() -> Provider {
    let scheme = SignatureScheme::hmac_sha256("x-convoy-signature").with_pairs("t", "v1").with_signed([
        Part::Timestamp,
        Part::literal(","),
        Part::Body,
    ]);
    preset(builder(Envelope::identified_by_digest()).signature(scheme))
}

fn builder(envelope: Envelope) -> ProviderBuilder {
    Provider::builder("convoy")
        .envelope(envelope.with_unsigned_id_header("x-convoy-idempotency-key").opaque("convoy.events"))
        .documentation("https://www.getconvoy.io/docs/product-manual/signatures")
}
