//! What is asked of the sink, none of which may last for ever.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{sleep, timeout};

use super::Inner;
use super::work::Work;
use crate::endpoints::api::{EndpointApi, Registered};
use crate::endpoints::error::{EndpointError, EndpointErrorKind};
use crate::endpoints::lock::EndpointLock;
use crate::endpoints::sink::SecretSink;
use crate::error::BoxError;
use crate::signature::Secret;

/// For how long a sink may take over an answer.
pub(super) const SINK_TIMEOUT: Duration = Duration::from_secs(30);

/// Before each further attempt to store a secret, in milliseconds: within [`SINK_TIMEOUT`] together.
const PAUSES: [u64; 7] = [250, 500, 1_000, 2_000, 4_000, 4_000, 4_000];

/// A sink that hangs must not keep the URL from everybody else.
async fn in_time<T>(answer: impl Future<Output = Result<T, BoxError>>) -> Result<T, BoxError> {
    timeout(SINK_TIMEOUT, answer).await.unwrap_or_else(|_| Err("the sink took too long".into()))
}

impl<A: EndpointApi, K: SecretSink, L: EndpointLock> Work<A, K, L> {
    /// Whether the sink has the secret of an endpoint.
    pub(super) async fn has_secret(&self, endpoint: &Registered) -> Result<bool, EndpointError> {
        self.contains(endpoint.id()).await
    }

    pub(super) async fn contains(&self, id: &str) -> Result<bool, EndpointError> {
        let Inner { api, sink, .. } = &*self.inner;
        let contains = in_time(sink.contains(api.provider(), id)).await;
        contains.map_err(|source| self.sink_failed(source).with_endpoints([id.to_owned()]))
    }

    pub(super) async fn remove(&self, id: &str) -> Result<(), EndpointError> {
        let Inner { api, sink, .. } = &*self.inner;
        let removed = in_time(sink.remove(api.provider(), id)).await;
        removed.map_err(|source| self.sink_failed(source).with_endpoints([id.to_owned()]))
    }

    /// Tells receivers that a secret is on its way, and gives those in other processes time to hear it; a sink that could
    /// not take it says so here, while nothing is created.
    pub(super) async fn announce(&self) -> Result<(), EndpointError> {
        let Inner { api, sink, .. } = &*self.inner;
        if let Err(source) = in_time(sink.announce(api.provider(), self.url())).await {
            // It may have been half done.
            self.withdraw().await;
            return Err(self.sink_failed(source));
        }
        sleep(self.inner.lead).await;
        Ok(())
    }

    /// What matters is why there is no endpoint.
    pub(super) async fn withdraw(&self) {
        _ = self.withdrawn().await;
    }

    pub(super) async fn withdrawn(&self) -> Result<(), EndpointError> {
        let Inner { api, sink, .. } = &*self.inner;
        let withdrawn = in_time(sink.withdraw(api.provider(), self.url())).await;
        withdrawn.map_err(|source| self.sink_failed(source))
    }

    /// What is left is in nobody's way, and the next start tries again.
    pub(super) async fn tidy(&self) {
        let Inner { api, sink, .. } = &*self.inner;
        _ = in_time(sink.tidy(api.provider(), self.url())).await;
    }

    /// Stores a secret that is shown only once: what fails is tried again, since the caller may have gone, and nobody
    /// else has it.
    pub(super) async fn store(&self, id: &str, secret: &Secret) -> Result<(), BoxError> {
        let Inner { api, sink, .. } = &*self.inner;
        let storing = async {
            let mut pauses = PAUSES.into_iter();
            loop {
                let stored = AssertUnwindSafe(sink.store(api.provider(), id, secret)).catch_unwind().await;
                let Ok(stored) = stored else { return Err("the sink panicked".into()) };
                match (stored, pauses.next()) {
                    (Err(_), Some(pause)) => sleep(Duration::from_millis(pause)).await,
                    (stored, _) => return stored,
                }
            }
        };
        in_time(storing).await
    }

    fn sink_failed(&self, source: BoxError) -> EndpointError {
        self.inner.error(EndpointErrorKind::Sink).with_source(source)
    }
}
