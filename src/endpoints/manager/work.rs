//! What is done under the lock of a URL: looking, creating, updating.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout};
use url::Url;

use super::marker::Marker;
use super::{Change, Ensured, Inner};
use crate::endpoints::api::{EndpointApi, Registered, Wanted};
use crate::endpoints::check::same;
use crate::endpoints::error::{EndpointError, EndpointErrorKind};
use crate::endpoints::lock::EndpointLock;
use crate::endpoints::sink::SecretSink;
use crate::endpoints::subscription::drift;
use crate::error::BoxError;

/// After this nothing is begun that could create an endpoint, so that it ends before the lock does.
const LATEST_CREATION: Duration = Duration::from_secs(60);

/// For how long a sink may take over a secret.
const STORE_TIMEOUT: Duration = Duration::from_secs(30);

/// For how long the lock is held: until the latest creation has been answered, and its secret stored.
pub(super) fn hold<A: EndpointApi, K, L>(inner: &Inner<A, K, L>) -> Duration {
    let slack = Duration::from_secs(30);
    LATEST_CREATION + inner.lead + inner.api.call_deadline() + STORE_TIMEOUT + slack
}

pub(super) struct Work<A, K, L> {
    pub(super) inner: Arc<Inner<A, K, L>>,
    url: Url,
    /// As the caller wrote it.
    text: String,
    begun: Instant,
}

/// The endpoints of a URL.
pub(super) enum Found {
    None,
    /// And the one that it has replaced, where that is gone.
    One(Registered, Option<String>),
    Rotating {
        old: Registered,
        new: Registered,
    },
}

impl<A, K, L> Work<A, K, L> {
    pub(super) fn new(inner: Arc<Inner<A, K, L>>, url: Url, text: String) -> Self {
        Self { inner, url, text, begun: Instant::now() }
    }
}

impl<A: EndpointApi, K: SecretSink, L: EndpointLock> Work<A, K, L> {
    pub(super) async fn ensure(&self, events: Vec<String>) -> Result<Ensured, EndpointError> {
        match self.find().await? {
            Found::None => {
                self.announce().await?;
                let created = self.create(events, self.inner.description.clone(), None).await?;
                Ok(Ensured::new(&created, Change::Created, None))
            }
            Found::One(endpoint, replaced) => {
                if !self.has_secret(&endpoint).await? {
                    return Err(self.secret_unknown(&endpoint));
                }
                self.forget(replaced).await?;
                self.tidy().await;
                let (endpoint, change) = self.update(&endpoint, &events).await?;
                Ok(Ensured::new(&endpoint, change, None))
            }
            Found::Rotating { old, new } => {
                self.check_new(&old, &new).await?;
                self.tidy().await;
                let (_, of_old) = self.update(&old, &events).await?;
                let (endpoint, change) = self.update(&new, &events).await?;
                let change = if change == Change::Unchanged { of_old } else { change };
                Ok(Ensured::new(&endpoint, change, Some(old.id().to_owned())))
            }
        }
    }

    pub(super) async fn find(&self) -> Result<Found, EndpointError> {
        let all = self.inner.api.list().await?;
        let of_url = all.iter().filter(|endpoint| same(&self.url, endpoint.url()));
        let of_url: Vec<_> = of_url.cloned().collect();
        match &of_url[..] {
            [] => Ok(Found::None),
            [one] => {
                let replaced = Marker::of(one).map(|marker| marker.replaces);
                let is_gone = |id: &String| all.iter().all(|endpoint| endpoint.id() != id);
                Ok(Found::One(one.clone(), replaced.filter(is_gone)))
            }
            [one, other] if replaces(one, other) => {
                Ok(Found::Rotating { old: other.clone(), new: one.clone() })
            }
            [one, other] if replaces(other, one) => {
                Ok(Found::Rotating { old: one.clone(), new: other.clone() })
            }
            several => Err(self.duplicates(several).await),
        }
    }

    /// Which of them can be done without is for a person to say, who must know which secrets there are.
    async fn duplicates(&self, several: &[Registered]) -> EndpointError {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for endpoint in several {
            let has_secret = self.has_secret(endpoint).await.unwrap_or(false);
            if has_secret { &mut known } else { &mut unknown }.push(endpoint.id());
        }
        let list = |ids: Vec<&str>| if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
        let detail = format!("secret in the sink: {}, not there: {}", list(known), list(unknown));
        let error = self.inner.error(EndpointErrorKind::DuplicateEndpoints).with_detail(detail);
        error.with_endpoints(several.iter().map(|endpoint| endpoint.id().to_owned()))
    }

    /// Whether the sink has the secret of an endpoint.
    pub(super) async fn has_secret(&self, endpoint: &Registered) -> Result<bool, EndpointError> {
        let inner = &self.inner;
        let contains = inner.sink.contains(inner.api.provider(), endpoint.id()).await;
        contains.map_err(|source| self.sink_failed(source))
    }

    /// Whether a rotation can go on.
    pub(super) async fn check_new(&self, old: &Registered, new: &Registered) -> Result<(), EndpointError> {
        if self.has_secret(new).await? {
            return Ok(());
        }
        let advice = "the secret of the newer endpoint is not in the sink: put it there if you have it, else delete this \
                      endpoint, and begin the rotation again";
        let detail = format!("{} was to replace {}", new.id(), old.id());
        Err(self.secret_unknown(new).with_detail(detail).with_advice(advice))
    }

    pub(super) fn secret_unknown(&self, endpoint: &Registered) -> EndpointError {
        self.inner.error(EndpointErrorKind::SecretUnknown).with_endpoints([endpoint.id().to_owned()])
    }

    pub(super) fn sink_failed(&self, source: BoxError) -> EndpointError {
        self.inner.error(EndpointErrorKind::Sink).with_source(source)
    }

    /// Removes the secret of an endpoint that a rotation has deleted: a crash may have come between the two.
    pub(super) async fn forget(&self, replaced: Option<String>) -> Result<Option<String>, EndpointError> {
        let Inner { api, sink, .. } = &*self.inner;
        let Some(id) = replaced else { return Ok(None) };
        let failed = |source| self.sink_failed(source).with_endpoints([id.clone()]);
        if !sink.contains(api.provider(), &id).await.map_err(failed)? {
            return Ok(None);
        }
        sink.remove(api.provider(), &id).await.map_err(failed)?;
        Ok(Some(id))
    }

    async fn update(
        &self,
        endpoint: &Registered,
        events: &[String],
    ) -> Result<(Registered, Change), EndpointError> {
        let (added, removed) = drift(endpoint.events(), events);
        if added.is_empty() && removed.is_empty() {
            return Ok((endpoint.clone(), Change::Unchanged));
        }
        let updated = self.inner.api.set_events(endpoint.id(), events).await?;
        Ok((updated, Change::Updated { added, removed }))
    }

    /// Tells receivers that a secret is on its way; a sink that could not take it says so here, while nothing is created.
    pub(super) async fn announce(&self) -> Result<(), EndpointError> {
        let Inner { api, sink, .. } = &*self.inner;
        let announced = sink.announce(api.provider(), self.url.as_str()).await;
        if let Err(source) = announced {
            // It may have been half done.
            self.withdraw().await;
            return Err(self.sink_failed(source));
        }
        Ok(())
    }

    /// What is left is in nobody's way, and the next start tries again.
    async fn tidy(&self) {
        let Inner { api, sink, .. } = &*self.inner;
        _ = sink.tidy(api.provider(), self.url.as_str()).await;
    }

    /// What matters is why there is no endpoint.
    async fn withdraw(&self) {
        let Inner { api, sink, .. } = &*self.inner;
        _ = sink.withdraw(api.provider(), self.url.as_str()).await;
    }

    /// Creates an endpoint that has been announced, and stores its secret before anything else. One that it replaces
    /// is not taken for what a creation left behind.
    pub(super) async fn create(
        &self,
        events: Vec<String>,
        description: String,
        replaced: Option<&Registered>,
    ) -> Result<Registered, EndpointError> {
        let Inner { api, sink, .. } = &*self.inner;
        if self.begun.elapsed() > LATEST_CREATION + self.inner.lead {
            // The lock may pass to another instance before the answer comes.
            self.withdraw().await;
            let error = self.inner.error(EndpointErrorKind::Lock);
            return Err(error.with_detail("listing the endpoints took too long to create one now"));
        }
        let wanted = Wanted::new(&self.text, events, Some(description));
        let (endpoint, secret) = match api.create(&wanted).await {
            Ok(created) => created,
            Err(error) if error.may_have_created() => return Err(self.with_leftovers(error, replaced).await),
            Err(error) => {
                self.withdraw().await;
                return Err(error);
            }
        };
        let id = || [endpoint.id().to_owned()];
        let storing = AssertUnwindSafe(sink.store(api.provider(), endpoint.id(), &secret)).catch_unwind();
        let source = match timeout(STORE_TIMEOUT, storing).await {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(source))) => Some(source),
            Ok(Err(_)) => Some("the sink panicked".into()),
            Err(_) => Some("the sink took too long".into()),
        };
        if let Some(source) = source {
            // It stays announced: the endpoint may deliver.
            let error = self.inner.error(EndpointErrorKind::SecretNotStored).with_secret(secret);
            return Err(error.with_endpoints(id()).with_source(source));
        }
        match sink.withdraw(api.provider(), self.url.as_str()).await {
            Ok(()) => Ok(endpoint),
            Err(source) => {
                let error = self.sink_failed(source).with_endpoints(id());
                Err(error.with_detail("the endpoint was created and its secret stored"))
            }
        }
    }

    /// Looks for what a creation left behind whose outcome is unknown: an endpoint whose secret nobody has. That is
    /// not the one that was to be replaced, which delivers.
    async fn with_leftovers(&self, error: EndpointError, replaced: Option<&Registered>) -> EndpointError {
        let Ok(all) = self.inner.api.list().await else { return error };
        let mut unknown = Vec::new();
        for endpoint in all.iter().filter(|endpoint| same(&self.url, endpoint.url())) {
            let is_known = replaced.is_some_and(|replaced| replaced.id() == endpoint.id())
                || error.endpoint_ids().iter().any(|id| id == endpoint.id());
            if !is_known && !self.has_secret(endpoint).await.unwrap_or(false) {
                unknown.push(endpoint.id().to_owned());
            }
        }
        error.with_endpoints(unknown)
    }
}

/// Whether the first of them says that it replaces the other.
fn replaces(new: &Registered, old: &Registered) -> bool {
    Marker::of(new).is_some_and(|marker| marker.replaces == old.id())
}
