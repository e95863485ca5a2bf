//! Endpoints as they should be: subscribed to what is handled, their secrets kept, one for each URL.

mod rotation;

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;
use url::Url;

use self::rotation::Marker;
pub use self::rotation::{Rotation, RotationPolicy, RotationStep};
use super::api::{EndpointApi, Registered, Wanted};
use super::error::{EndpointError, EndpointErrorKind};
use super::lock::{EndpointLock, NoLock};
use super::sink::SecretSink;
use super::subscription::{drift, subscription};
use super::url::same;

/// For how long a lock is held at most. The work of one lock is a few calls, each of which ends within its deadline.
const HOLD: Duration = Duration::from_secs(120);

/// After this nothing is begun that could create an endpoint, so that it ends before the lock does.
const LATEST_CREATION: Duration = Duration::from_secs(60);

/// Subscribes a receiver to what it handles, and rotates its secret. Cheap to clone.
///
/// It never deletes what it did not create for a rotation, hands new secrets to its [`SecretSink`] before anything else,
/// and leaves nothing half done when its futures are dropped: once begun, the work goes on in a task of its own.
///
/// ```no_run
/// use tower_webhook::endpoints::{CasaPay, ClientOptions, EndpointManager, FileSink, StoreLock};
/// use tower_webhook::{EventRouter, Secret, SharedStore, WebhookLayer, casapay};
///
/// # async fn subscribe(store: SharedStore) -> Result<(), tower_webhook::BoxError> {
/// let events = EventRouter::new().on(async |invoice: casapay::events::InvoicePaid| drop(invoice));
///
/// let key = Secret::new(std::env::var("CASAPAY_API_KEY")?)?;
/// let casapay = CasaPay::new(&std::env::var("CASAPAY_API_URL")?, key, ClientOptions::default())?;
/// let sink = FileSink::new("/var/lib/shop/secrets");
/// let manager = EndpointManager::new(casapay, sink.clone()).with_lock(StoreLock::new(store.clone()));
///
/// let ensured = manager.ensure_endpoint("https://shop.example/webhooks/casapay", events.event_types()).await?;
/// println!("{ensured}"); // endpoint we_1: created
///
/// let webhook = WebhookLayer::new(casapay::provider(), sink.secrets("casapay")?)?
///     .with_store(store)
///     .with_dispatch(events);
/// # let _ = webhook;
/// # Ok(())
/// # }
/// ```
pub struct EndpointManager<A, K, L = NoLock> {
    inner: Arc<Inner<A, K, L>>,
}

struct Inner<A, K, L> {
    api: A,
    sink: K,
    lock: L,
    description: String,
}

/// What [`ensure_endpoint`](EndpointManager::ensure_endpoint) found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ensured {
    /// The endpoint. During a rotation the newer one of the two.
    pub endpoint_id: String,
    /// What was done.
    pub change: Change,
    /// Whether the endpoint is paused, which is left as it is: somebody paused it.
    pub is_paused: bool,
    /// During a rotation the endpoint that is being replaced. It was given the same types.
    pub replaces: Option<String>,
}

/// What was done to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It was as it should be.
    Unchanged,
    /// There was none: it was created, and its secret stored.
    Created,
    /// It delivered other types than are handled.
    Updated {
        /// Types that it did not deliver.
        added: Vec<String>,
        /// Types that nobody handles.
        removed: Vec<String>,
    },
}

impl Ensured {
    fn new(endpoint: &Registered, change: Change, replaces: Option<String>) -> Self {
        let (endpoint_id, is_paused) = (endpoint.id().to_owned(), !endpoint.is_active());
        Self { endpoint_id, change, is_paused, replaces }
    }
}

impl fmt::Display for Ensured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "endpoint {}: ", self.endpoint_id)?;
        match &self.change {
            Change::Unchanged => f.write_str("unchanged")?,
            Change::Created => f.write_str("created")?,
            Change::Updated { added, removed } => {
                f.write_str("updated")?;
                for (sign, types) in [('+', added), ('-', removed)] {
                    types.iter().try_for_each(|one| write!(f, " {sign}{one}"))?;
                }
            }
        }
        if self.is_paused {
            f.write_str(", paused")?;
        }
        if let Some(old) = &self.replaces {
            write!(f, ", replaces {old}")?;
        }
        Ok(())
    }
}

impl<A: EndpointApi, K: SecretSink> EndpointManager<A, K> {
    /// A manager of the endpoints of `api`, whose secrets go to `sink`. Without a lock: for one instance.
    pub fn new(api: A, sink: K) -> Self {
        let description = "managed by tower-webhook".to_owned();
        Self { inner: Arc::new(Inner { api, sink, lock: NoLock, description }) }
    }

    /// Lets one instance at a time look and create. Call it before the others, on a manager that is not shared yet.
    ///
    /// # Panics
    ///
    /// Where the manager has been cloned.
    #[must_use]
    pub fn with_lock<L: EndpointLock>(self, lock: L) -> EndpointManager<A, K, L> {
        let Some(Inner { api, sink, description, .. }) = Arc::into_inner(self.inner) else {
            panic!("the lock of a manager that has been cloned cannot be changed");
        };
        EndpointManager { inner: Arc::new(Inner { api, sink, lock, description }) }
    }
}

impl<A: EndpointApi, K: SecretSink, L: EndpointLock> EndpointManager<A, K, L> {
    /// What new endpoints are called. Default: `managed by tower-webhook`. A rotation adds what it replaces, in brackets.
    ///
    /// # Panics
    ///
    /// Where the manager has been cloned.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        let Some(inner) = Arc::get_mut(&mut self.inner) else {
            panic!("the description of a manager that has been cloned cannot be changed");
        };
        inner.description = description.into();
        self
    }

    /// The API.
    #[must_use]
    pub fn api(&self) -> &A {
        &self.inner.api
    }

    /// Makes sure that there is one endpoint for `url`, and that it delivers these types: those of
    /// [`EventRouter::event_types`](crate::EventRouter::event_types). A pattern stands for the types that the provider
    /// documents. A router's fallback subscribes to nothing.
    ///
    /// It creates the endpoint, or changes its types; it never deletes one, and leaves one paused that is. Where two
    /// versions of a service that handle different types start in turns, each changes it its way: let the one that is
    /// to stay be the last.
    ///
    /// # Errors
    ///
    /// [`DuplicateEndpoints`](EndpointErrorKind::DuplicateEndpoints) where several endpoints have the URL and it is no
    /// rotation; [`SecretUnknown`](EndpointErrorKind::SecretUnknown) where the endpoint's secret is not in the sink;
    /// [`OutcomeUnknown`](EndpointErrorKind::OutcomeUnknown), [`SecretMissing`](EndpointErrorKind::SecretMissing) and
    /// [`SecretNotStored`](EndpointErrorKind::SecretNotStored) where creating went wrong half-way, with the ids of
    /// endpoints that came of it; [`Lock`](EndpointErrorKind::Lock); and whatever else [`EndpointErrorKind`] lists.
    pub async fn ensure_endpoint<T: Into<String>>(
        &self,
        url: &str,
        event_types: impl IntoIterator<Item = T>,
    ) -> Result<Ensured, EndpointError> {
        let api = self.api();
        api.check_url(url)?;
        let events = subscription(api.provider(), event_types, &api.event_types())?;
        let url = url.to_owned();
        self.locked(url, |work| async move { work.ensure(events).await }).await
    }

    /// Runs `work` under the lock of `url`, in a task that a dropped future does not end.
    async fn locked<T, F>(
        &self,
        url: String,
        work: impl FnOnce(Work<A, K, L>) -> F + Send + 'static,
    ) -> Result<T, EndpointError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, EndpointError>> + Send,
    {
        let inner = Arc::clone(&self.inner);
        let provider = inner.api.provider().to_owned();
        let task = tokio::spawn(async move {
            let parsed = Url::parse(&url).map_err(|_| inner.error(EndpointErrorKind::InvalidUrl))?;
            let name = format!("{} {parsed}", inner.api.provider());
            let held = inner.lock.acquire(&name, HOLD).await;
            let held = held.map_err(|source| inner.error(EndpointErrorKind::Lock).with_source(source))?;
            let work =
                work(Work { inner: Arc::clone(&inner), url: parsed, text: url, begun: Instant::now() });
            // A panic of a sink must not keep the lock either.
            let done = AssertUnwindSafe(work).catch_unwind().await;
            inner.lock.release(held).await;
            done.unwrap_or_else(|_| Err(inner.error(EndpointErrorKind::Panicked)))
        });
        task.await.unwrap_or_else(|_| Err(EndpointError::new(EndpointErrorKind::Panicked, &provider)))
    }
}

impl<A: EndpointApi, K, L> Inner<A, K, L> {
    fn error(&self, kind: EndpointErrorKind) -> EndpointError {
        EndpointError::new(kind, self.api.provider())
    }
}

/// What is done under a lock.
struct Work<A, K, L> {
    inner: Arc<Inner<A, K, L>>,
    url: Url,
    /// As the caller wrote it.
    text: String,
    begun: Instant,
}

/// The endpoints of a URL.
enum Found {
    None,
    One(Registered),
    Rotating { old: Registered, new: Registered },
}

impl<A: EndpointApi, K: SecretSink, L: EndpointLock> Work<A, K, L> {
    async fn ensure(&self, events: Vec<String>) -> Result<Ensured, EndpointError> {
        let endpoint = match self.find().await? {
            Found::None => {
                let created = self.create(events, self.inner.description.clone(), None).await?;
                return Ok(Ensured::new(&created, Change::Created, None));
            }
            Found::One(endpoint) => endpoint,
            Found::Rotating { old, new } => {
                // That of the old one may be what is being replaced because it was lost.
                self.has_secret(&new).await?;
                self.update(&old, &events).await?;
                let (endpoint, change) = self.update(&new, &events).await?;
                return Ok(Ensured::new(&endpoint, change, Some(old.id().to_owned())));
            }
        };
        self.has_secret(&endpoint).await?;
        let (endpoint, change) = self.update(&endpoint, &events).await?;
        Ok(Ensured::new(&endpoint, change, None))
    }

    async fn of_url(&self) -> Result<Vec<Registered>, EndpointError> {
        let mut endpoints = self.inner.api.list().await?;
        endpoints.retain(|endpoint| same(&self.url, endpoint.url()));
        Ok(endpoints)
    }

    async fn find(&self) -> Result<Found, EndpointError> {
        let mut endpoints = self.of_url().await?;
        let Some(last) = endpoints.pop() else { return Ok(Found::None) };
        let Some(other) = endpoints.pop() else { return Ok(Found::One(last)) };
        if endpoints.is_empty() {
            if Marker::of(&last).is_some_and(|marker| marker.replaces == other.id()) {
                return Ok(Found::Rotating { old: other, new: last });
            }
            if Marker::of(&other).is_some_and(|marker| marker.replaces == last.id()) {
                return Ok(Found::Rotating { old: last, new: other });
            }
        }
        endpoints.extend([other, last]);
        let ids = endpoints.iter().map(|endpoint| endpoint.id().to_owned());
        Err(self.inner.error(EndpointErrorKind::DuplicateEndpoints).with_endpoints(ids))
    }

    async fn has_secret(&self, endpoint: &Registered) -> Result<(), EndpointError> {
        let inner = &self.inner;
        let contains = inner.sink.contains(inner.api.provider(), endpoint.id()).await;
        let contains = contains.map_err(|source| inner.error(EndpointErrorKind::Sink).with_source(source))?;
        if contains {
            return Ok(());
        }
        Err(inner.error(EndpointErrorKind::SecretUnknown).with_endpoints([endpoint.id().to_owned()]))
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

    /// Creates an endpoint, and stores its secret before anything else. For one that replaces another, receivers have
    /// been told to await it.
    async fn create(
        &self,
        events: Vec<String>,
        description: String,
        replaced: Option<&Registered>,
    ) -> Result<Registered, EndpointError> {
        let Inner { api, sink, .. } = &*self.inner;
        if self.begun.elapsed() > LATEST_CREATION {
            // The lock may pass to another instance before the answer comes.
            self.does_not_come(replaced).await;
            let error = self.inner.error(EndpointErrorKind::Lock);
            return Err(error.with_detail("listing the endpoints took too long to create one now"));
        }
        let wanted = Wanted::new(&self.text, events, Some(description));
        match api.create(&wanted).await {
            Ok((endpoint, secret)) => match sink.store(api.provider(), endpoint.id(), &secret).await {
                Ok(()) => Ok(endpoint),
                Err(source) => {
                    let error = self.inner.error(EndpointErrorKind::SecretNotStored).with_secret(secret);
                    Err(error.with_endpoints([endpoint.id().to_owned()]).with_source(source))
                }
            },
            Err(error) if error.may_have_created() => Err(self.with_leftovers(error, replaced).await),
            Err(error) => {
                self.does_not_come(replaced).await;
                Err(error)
            }
        }
    }

    /// Takes an announcement back.
    async fn does_not_come(&self, replaced: Option<&Registered>) {
        if replaced.is_some() {
            // What matters is why there is no endpoint.
            _ = self.inner.sink.withdraw(self.inner.api.provider()).await;
        }
    }

    /// Looks for what a creation left behind whose outcome is unknown: an endpoint whose secret nobody has. That is
    /// not the one that was to be replaced, which delivers.
    async fn with_leftovers(&self, error: EndpointError, replaced: Option<&Registered>) -> EndpointError {
        let Ok(endpoints) = self.of_url().await else { return error };
        let mut unknown = Vec::new();
        for endpoint in endpoints {
            let is_known = replaced.is_some_and(|replaced| replaced.id() == endpoint.id())
                || error.endpoint_ids().iter().any(|id| id == endpoint.id());
            if !is_known && self.has_secret(&endpoint).await.is_err() {
                unknown.push(endpoint.id().to_owned());
            }
        }
        error.with_endpoints(unknown)
    }
}

impl<A, K, L> Clone for EndpointManager<A, K, L> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<A: EndpointApi, K, L> fmt::Debug for EndpointManager<A, K, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointManager")
            .field("provider", &self.inner.api.provider())
            .finish_non_exhaustive()
    }
}
