//! Endpoints as they should be: subscribed to what is handled, their secrets kept, one for each URL.

mod keep;
mod marker;
mod next;
mod rotation;
mod seen;
mod turns;
mod work;

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::oneshot;
use tokio::time::timeout;
use url::Url;

pub use self::rotation::{Rotation, RotationPolicy, RotationStep};
use self::seen::Seen;
use self::turns::Turns;
use self::work::Work;
use super::api::{EndpointApi, Registered};
use super::error::{EndpointError, EndpointErrorKind};
use super::lock::{EndpointLock, NoLock};
use super::sink::SecretSink;
use super::subscription::subscription;
use crate::clock::{Clock, SystemClock};

/// A lock that is not given back in this time becomes free by itself.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// An announcement runs out after an hour; until then an endpoint must be created, and its secret stored.
const LONGEST_LEAD: Duration = Duration::from_secs(1_800);

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
    lead: Duration,
    clock: Arc<dyn Clock>,
    turns: Turns,
    /// What the descriptions do not say.
    seen: Seen,
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
        let (lead, clock) = (Duration::ZERO, Arc::new(SystemClock));
        let (turns, seen) = (Turns::default(), Seen::default());
        Self { inner: Arc::new(Inner { api, sink, lock: NoLock, description, lead, clock, turns, seen }) }
    }

    /// Lets one instance at a time look and create. Call it before the others, on a manager that is not shared yet.
    ///
    /// # Panics
    ///
    /// Where the manager has been cloned.
    #[must_use]
    pub fn with_lock<L: EndpointLock>(self, lock: L) -> EndpointManager<A, K, L> {
        let Some(Inner { api, sink, description, lead, clock, turns, seen, .. }) =
            Arc::into_inner(self.inner)
        else {
            panic!("the lock of a manager that has been cloned cannot be changed");
        };
        EndpointManager { inner: Arc::new(Inner { api, sink, lock, description, lead, clock, turns, seen }) }
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
        self.unshared("description").description = description.into();
        self
    }

    /// How long to wait after a secret has been [announced](SecretSink::announce), before its endpoint is created: longer
    /// than receivers in other processes take to notice, such as the interval in which they
    /// [follow](super::FileSink::follow) a sink. For a rotation, and for an endpoint that is created where there is none:
    /// whether receivers run by then that know another one's secret, which somebody deleted, nobody can tell here.
    /// Default: none, for the one receiver that the sink feeds itself. More than half an hour counts as that, since an
    /// announcement holds for an hour at most.
    ///
    /// # Panics
    ///
    /// Where the manager has been cloned.
    #[must_use]
    pub fn with_announcement_lead(mut self, lead: Duration) -> Self {
        self.unshared("lead").lead = lead.min(LONGEST_LEAD);
        self
    }

    /// Reads the time of rotations from `clock`, for tests. Default: the system's.
    ///
    /// # Panics
    ///
    /// Where the manager has been cloned.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.unshared("clock").clock = Arc::new(clock);
        self
    }

    fn unshared(&mut self, setting: &str) -> &mut Inner<A, K, L> {
        let inner = Arc::get_mut(&mut self.inner);
        inner.unwrap_or_else(|| panic!("the {setting} of a manager that has been cloned cannot be changed"))
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
        self.locked(url, |work| async move { work.ensure(events).await }).await
    }

    /// Runs `work` under the lock of `url`, in a task that a dropped future does not end.
    async fn locked<T, F>(
        &self,
        url: &str,
        work: impl FnOnce(Work<A, K, L>) -> F + Send + 'static,
    ) -> Result<T, EndpointError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, EndpointError>> + Send,
    {
        let (inner, url) = (Arc::clone(&self.inner), url.to_owned());
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            let done = under_lock(Arc::clone(&inner), url, work).await;
            if let Err(Err(error)) = answer.send(done) {
                inner.abandoned(&error);
            }
        });
        answered.await.unwrap_or_else(|_| Err(self.inner.error(EndpointErrorKind::Panicked)))
    }
}

async fn under_lock<A, K, L, T, F>(
    inner: Arc<Inner<A, K, L>>,
    url: String,
    work: impl FnOnce(Work<A, K, L>) -> F,
) -> Result<T, EndpointError>
where
    A: EndpointApi,
    L: EndpointLock,
    F: Future<Output = Result<T, EndpointError>>,
{
    let parsed = Url::parse(&url).map_err(|_| inner.error(EndpointErrorKind::InvalidUrl))?;
    let name = format!("{} {parsed}", inner.api.provider());
    // As long as another instance would wait: a call to an API of your own may never end.
    let turn = timeout(work::hold(&inner), inner.turns.take(&name)).await;
    let _turn = turn.map_err(|_| {
        let error = inner.error(EndpointErrorKind::Lock);
        error.with_detail("an earlier call for this URL has not ended")
    })?;
    let held = inner.lock.acquire(&name, work::hold(&inner)).await;
    let held = held.map_err(|source| inner.error(EndpointErrorKind::Lock).with_source(source))?;
    // A panic of a sink must not keep the lock.
    let done = AssertUnwindSafe(work(Work::new(Arc::clone(&inner), parsed, url))).catch_unwind().await;
    // Nor must a store that hangs keep what was done from whoever waits for it.
    _ = timeout(RELEASE_TIMEOUT, inner.lock.release(held)).await;
    done.unwrap_or_else(|_| Err(inner.error(EndpointErrorKind::Panicked)))
}

impl<A: EndpointApi, K, L> Inner<A, K, L> {
    fn error(&self, kind: EndpointErrorKind) -> EndpointError {
        EndpointError::new(kind, self.api.provider())
    }

    /// Something went wrong, and whoever asked for it has gone.
    fn abandoned(&self, error: &EndpointError) {
        #[cfg(feature = "tracing")]
        tracing::error!(target: "tower_webhook", %error, "managing an endpoint failed, and nobody waits for the error");
        #[cfg(not(feature = "tracing"))]
        let _ = error;
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
