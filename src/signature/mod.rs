//! Step 2: is this the provider's request? The header's grammar, the signed bytes, the MAC.
//!
//! [`SignatureScheme`] describes how a provider signs; [`Secrets`] holds what it signs with. Nothing here
//! knows a provider's name.

mod authenticator;
mod awaiting;
mod body_timestamp;
#[cfg(feature = "ed25519")]
mod ed25519;
mod encoding;
#[cfg(feature = "endpoints")]
mod fed;
mod grammar;
mod keyring;
mod mac;
mod resolved;
mod scheme;
pub(crate) mod secret;
#[cfg(feature = "testing")]
pub(crate) mod signing;
mod template;
mod timestamp;
#[cfg(feature = "testing")]
pub(crate) mod trial;
mod usage;
mod verifier;
mod verify;

pub(crate) use self::authenticator::Authenticator;
#[cfg(feature = "endpoints")]
pub(crate) use self::awaiting::Awaiting;
pub use self::encoding::{Encoding, KeyEncoding};
#[cfg(feature = "endpoints")]
pub(crate) use self::fed::Fed;
pub use self::grammar::{HeaderGrammar, List, Pairs};
pub(crate) use self::keyring::{Keyring, Signer};
pub(crate) use self::mac::token_digest;
#[cfg(feature = "testing")]
pub(crate) use self::resolved::ResolvedScheme;
pub(crate) use self::resolved::{Presented, SchemeDescription};
pub use self::scheme::SignatureScheme;
pub use self::secret::{Secret, Secrets};
pub(crate) use self::template::{Head, Names, PublicUrl};
pub use self::template::{HeaderNames, Part};
#[cfg(feature = "testing")]
pub(crate) use self::timestamp::SignedTimestamp;
pub use self::timestamp::TimestampUnit;
pub use self::usage::SecretUsage;
pub use self::verifier::{Proof, Verifier};
pub(crate) use self::verifier::{Verdict, Verification};
pub use self::verify::{Authentic, Unverified, Verify};
