//! How requests are authenticated: by a scheme, or by code.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};

use super::keyring::{KeyKind, Keyring};
use super::mac::MacKind;
use super::resolved::{Presented, ResolvedScheme};
use super::secret::Secrets;
use super::template::{Names, PublicUrl, single};
use super::verify::Verify;
use crate::error::{ConfigError, RejectionReason};

#[derive(Clone, Debug)]
pub(crate) enum Authenticator {
    Data(Box<ResolvedScheme>),
    Code { verify: Arc<dyn Verify>, url: Option<PublicUrl> },
}

impl Authenticator {
    pub(crate) fn code(verify: Arc<dyn Verify>) -> Self {
        Self::Code { verify, url: None }
    }

    pub(crate) fn header(&self) -> &HeaderName {
        match self {
            Self::Data(scheme) => scheme.header(),
            Self::Code { verify, .. } => verify.signature_header(),
        }
    }

    /// Marks what carries signatures, so that later layers do not print it.
    pub(crate) fn mark_sensitive(&self, headers: &mut HeaderMap) {
        let mut mark = |name: &HeaderName| {
            if let Some(value) = headers.get_mut(name) {
                value.set_sensitive(true);
            }
        };
        match self {
            Self::Data(scheme) => scheme.signature_headers().for_each(mark),
            Self::Code { verify, .. } => mark(verify.signature_header()),
        }
    }

    pub(crate) fn tolerance(&self) -> Option<Duration> {
        match self {
            Self::Data(scheme) => scheme.tolerance(),
            Self::Code { verify, .. } => verify.tolerance(),
        }
    }

    pub(crate) fn set_tolerance(&mut self, tolerance: Duration) -> Result<(), ConfigError> {
        match self {
            Self::Data(scheme) => scheme.set_tolerance(tolerance),
            Self::Code { .. } => Err(ConfigError::ToleranceWithoutTimestamp),
        }
    }

    pub(crate) fn set_url(&mut self, new: PublicUrl) {
        match self {
            Self::Data(scheme) => scheme.set_url(new),
            Self::Code { url, .. } => *url = Some(new),
        }
    }

    /// Whether a change of the body would be noticed. Of code it is believed.
    pub(crate) fn covers_body(&self) -> bool {
        match self {
            Self::Data(scheme) => scheme.template().covers_body(),
            Self::Code { .. } => true,
        }
    }

    /// Whether all that is signed by HMAC-SHA256 has this byte in it, so that a text without it is nothing that was
    /// signed. Of code nothing is known.
    pub(crate) fn signs_apart(&self, byte: u8) -> bool {
        match self {
            Self::Data(scheme) => {
                scheme.key().kind == KeyKind::Mac(MacKind::Sha256) && scheme.template().has_text_with(byte)
            }
            Self::Code { .. } => false,
        }
    }

    /// Whether a header is among what is signed.
    pub(crate) fn signs_header(&self, names: &Names) -> bool {
        match self {
            Self::Data(scheme) => scheme.template().signs_header(names),
            Self::Code { .. } => false,
        }
    }

    /// The keys of these secrets.
    pub(crate) fn keyring(&self, secrets: Secrets) -> Result<Keyring, ConfigError> {
        match self {
            Self::Data(scheme) if scheme.lacks_url() => Err(ConfigError::NoPublicUrl),
            Self::Data(scheme) => Keyring::new(scheme.key(), secrets),
            Self::Code { verify, url: None } if verify.needs_public_url() => Err(ConfigError::NoPublicUrl),
            Self::Code { verify, .. } => Keyring::of_secrets(secrets, |secret| verify.check_secret(secret)),
        }
    }

    /// A key that nobody has: it costs what another does, and nothing verifies by it.
    pub(crate) fn decoy(&self) -> Result<Keyring, ConfigError> {
        match self {
            Self::Data(scheme) if scheme.lacks_url() => Err(ConfigError::NoPublicUrl),
            Self::Data(scheme) => Keyring::decoy(scheme.key()),
            Self::Code { .. } => Keyring::decoy_of_secrets(),
        }
    }

    /// Reads what can be known before the body.
    #[inline]
    pub(crate) fn present(&self, headers: &HeaderMap) -> Result<Presented, RejectionReason> {
        match self {
            Self::Data(scheme) => scheme.present(headers),
            Self::Code { verify, .. } => {
                single(headers, verify.signature_header())?;
                Ok(Presented::later())
            }
        }
    }
}
