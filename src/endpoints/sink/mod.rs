//! Where new secrets go, since they are shown only once.

mod env_file;
mod file;
mod write;
mod written;

use std::future::Future;

pub use self::env_file::EnvFileSink;
pub use self::file::{FileSink, Following};
use crate::error::BoxError;
use crate::signature::Secret;

/// Where signing secrets are kept that a provider has made. A vault is for you to write; [`FileSink`] and
/// [`EnvFileSink`] are two that keep files.
///
/// A secret is shown once. [`EndpointManager`](super::EndpointManager) hands it over before it does anything else. What
/// takes longer than 30 seconds has failed to it.
pub trait SecretSink: Send + Sync + 'static {
    /// An endpoint is about to be created for `url`, whose secret will be stored here. An error keeps it from being
    /// created: let it fail now what would fail to store.
    ///
    /// Events may be delivered there already, and be signed with the new secret before that is known to anybody here:
    /// receivers should [answer 503](crate::Secrets::awaiting_another) from now on to what no secret verifies. Where they
    /// do not, a sender hears 401 for a moment, which some take as final. Does nothing by default.
    ///
    /// The process may be killed before it withdraws this, or never hear what came of the creation. What it has sent may
    /// then be carried out later still: let the announcement stay, and run out by itself.
    fn announce(&self, provider: &str, url: &str) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = (provider, url);
        async { Ok(()) }
    }

    /// What was announced for `url` has been stored, or does not come.
    fn withdraw(&self, provider: &str, url: &str) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = (provider, url);
        async { Ok(()) }
    }

    /// The endpoints are as they should be: what processes that were killed have left here, and what is too old to be of
    /// use to anybody, can go. Called each time that all is found in order; what fails is tried again the next time. Does
    /// nothing by default.
    fn tidy(&self, provider: &str, url: &str) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = (provider, url);
        async { Ok(()) }
    }

    /// Stores the secret of an endpoint. It must be durable when this returns, within 30 seconds. Where it fails, it is
    /// asked again, several times within that time.
    fn store(
        &self,
        provider: &str,
        endpoint_id: &str,
        secret: &Secret,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Whether it has the secret of an endpoint. An error where it cannot be asked now; a sink that can never tell says
    /// `true`, and then nobody finds out that a secret was lost before deliveries are refused.
    fn contains(
        &self,
        provider: &str,
        endpoint_id: &str,
    ) -> impl Future<Output = Result<bool, BoxError>> + Send;

    /// Forgets the secret of an endpoint that has been deleted. One that it does not have is no error.
    fn remove(&self, provider: &str, endpoint_id: &str) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// Shared by several managers.
impl<K: SecretSink> SecretSink for std::sync::Arc<K> {
    fn announce(&self, provider: &str, url: &str) -> impl Future<Output = Result<(), BoxError>> + Send {
        (**self).announce(provider, url)
    }

    fn withdraw(&self, provider: &str, url: &str) -> impl Future<Output = Result<(), BoxError>> + Send {
        (**self).withdraw(provider, url)
    }

    fn tidy(&self, provider: &str, url: &str) -> impl Future<Output = Result<(), BoxError>> + Send {
        (**self).tidy(provider, url)
    }

    fn store(
        &self,
        provider: &str,
        endpoint_id: &str,
        secret: &Secret,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        (**self).store(provider, endpoint_id, secret)
    }

    fn contains(
        &self,
        provider: &str,
        endpoint_id: &str,
    ) -> impl Future<Output = Result<bool, BoxError>> + Send {
        (**self).contains(provider, endpoint_id)
    }

    fn remove(&self, provider: &str, endpoint_id: &str) -> impl Future<Output = Result<(), BoxError>> + Send {
        (**self).remove(provider, endpoint_id)
    }
}
