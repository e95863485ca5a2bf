//! Where new secrets go, since they are shown only once.

mod env_file;
mod file;
mod write;

use std::future::Future;

pub use self::env_file::EnvFileSink;
pub use self::file::FileSink;
use crate::error::BoxError;
use crate::signature::Secret;

/// Where signing secrets are kept that a provider has made. A vault is for you to write; [`FileSink`] and
/// [`EnvFileSink`] are two that keep files.
///
/// A secret is shown once. [`EndpointManager`](super::EndpointManager) hands it over before it does anything else.
pub trait SecretSink: Send + Sync + 'static {
    /// A new endpoint is about to be created for a URL that events are delivered to already: they may be signed with its
    /// secret before that is known to anybody here. Receivers should
    /// [answer 503](crate::Secrets::awaiting_another) from now on to what no secret verifies. Does nothing by default:
    /// a sender then hears 401 for a moment, which some take as final.
    fn announce(&self, provider: &str) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = provider;
        async { Ok(()) }
    }

    /// The endpoint that was announced does not come: it was not created.
    fn withdraw(&self, provider: &str) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = provider;
        async { Ok(()) }
    }

    /// Stores the secret of an endpoint. It must be durable when this returns; and what was announced has come.
    fn store(
        &self,
        provider: &str,
        endpoint_id: &str,
        secret: &Secret,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Whether it has the secret of an endpoint. A sink that cannot tell says `true`, and then nobody finds out that a
    /// secret was lost before deliveries are refused.
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
    fn announce(&self, provider: &str) -> impl Future<Output = Result<(), BoxError>> + Send {
        (**self).announce(provider)
    }

    fn withdraw(&self, provider: &str) -> impl Future<Output = Result<(), BoxError>> + Send {
        (**self).withdraw(provider)
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
