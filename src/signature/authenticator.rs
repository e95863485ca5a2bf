//! How requests are authenticated: by a scheme, or by code.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};

use super::keyring::Keyring;
use super::resolved::{Presented, ResolvedScheme};
use super::secret::Secrets;
use super::template::{Names, PublicUrl};
use super::verify::{Verify, single};
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

    pub(crate) fn url(&self) -> Option<&PublicUrl> {
        match self {
            Self::Data(scheme) => scheme.url(),
            Self::Code { url, .. } => url.as_ref(),
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
