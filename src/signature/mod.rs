//! Step 2: is this the provider's request? The header's grammar, the signed bytes, the MAC.
//!
//! [`SignatureScheme`] describes how a provider signs; [`Secrets`] holds what it signs with. Nothing here
//! knows a provider's name.

pub(crate) mod header;
pub(crate) mod mac;
mod scheme;
pub(crate) mod secret;
mod timestamp;
mod verifier;

pub(crate) use self::scheme::ResolvedScheme;
pub use self::scheme::{Encoding, Part, SignatureScheme};
pub use self::secret::{Secret, Secrets};
pub use self::verifier::{Proof, Verifier};
