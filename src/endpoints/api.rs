//! What the endpoint APIs have in common: all that subscribing and rotating need.

use std::future::Future;
use std::time::Duration;

use super::error::{EndpointError, EndpointErrorKind};
use crate::signature::Secret;

/// An API that manages webhook endpoints. [`CasaPay`](super::CasaPay) and [`Diddo`](super::Diddo) are two; another one
/// is for you to write, and [`EndpointManager`](super::EndpointManager) then does the rest.
///
/// Methods are asked to do what they say once: an implementation retries what it may, and never the creation. Failures
/// that leave it open whether an endpoint was created are
/// [`OutcomeUnknown`](super::EndpointErrorKind::OutcomeUnknown).
pub trait EndpointApi: Send + Sync + 'static {
    /// The provider's name, as that of its preset.
    fn provider(&self) -> &str;

    /// The event types that are documented, with a family as `name.*`: what patterns are resolved by.
    fn event_types(&self) -> Vec<String>;

    /// Whether an endpoint may have this URL.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`](super::EndpointErrorKind::InvalidUrl).
    fn check_url(&self, url: &str) -> Result<(), EndpointError>;

    /// How long a call may last, all attempts included: what decides for how long a lock is held. Default: 30 seconds.
    fn call_deadline(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// All endpoints, from all pages: one that is overlooked would be created once more.
    fn list(&self) -> impl Future<Output = Result<Vec<Registered>, EndpointError>> + Send;

    /// Whether there is an endpoint with this id: before a rotation, and before the secret of one is removed that was not
    /// listed. By default it is looked for in another list; where the API can be asked for one endpoint, ask it that. An
    /// error with a status below 500 has another list decide.
    fn exists(&self, id: &str) -> impl Future<Output = Result<bool, EndpointError>> + Send {
        async move { Ok(self.list().await?.iter().any(|endpoint| endpoint.id() == id)) }
    }

    /// Creates an endpoint.
    fn create(
        &self,
        wanted: &Wanted,
    ) -> impl Future<Output = Result<(Registered, Secret), EndpointError>> + Send;

    /// Delivers these types, and no others.
    fn set_events(
        &self,
        id: &str,
        events: &[String],
    ) -> impl Future<Output = Result<Registered, EndpointError>> + Send;

    /// Goes on delivering, or pauses.
    fn set_active(
        &self,
        id: &str,
        active: bool,
    ) -> impl Future<Output = Result<Registered, EndpointError>> + Send;

    /// Calls an endpoint by another description. A [rotation](super::EndpointManager::advance_rotation) keeps there since
    /// when the old endpoint is paused, so that the next process knows. Does nothing by default: each process that is
    /// started then waits from the beginning.
    fn set_description(
        &self,
        id: &str,
        description: &str,
    ) -> impl Future<Output = Result<(), EndpointError>> + Send {
        let _ = (id, description);
        async { Ok(()) }
    }

    /// Deletes an endpoint.
    fn delete(&self, id: &str) -> impl Future<Output = Result<(), EndpointError>> + Send;
}

/// An endpoint that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    id: String,
    url: String,
    events: Vec<String>,
    active: Option<bool>,
    description: Option<String>,
}

impl Registered {
    /// An active endpoint without a description.
    #[must_use]
    pub fn new(id: impl Into<String>, url: impl Into<String>, events: Vec<String>) -> Self {
        Self { id: id.into(), url: url.into(), events, active: Some(true), description: None }
    }

    /// Whether it delivers; `None` where the API does not say.
    ///
    /// ```
    /// use tower_webhook::endpoints::Registered;
    ///
    /// let endpoint = Registered::new("we_1", "https://shop.example/hooks", vec![]);
    /// assert!(!endpoint.clone().with_active(false).is_active());
    /// assert_eq!(endpoint.with_active(None).active(), None);
    /// ```
    #[must_use]
    pub fn with_active(mut self, active: impl Into<Option<bool>>) -> Self {
        self.active = active.into();
        self
    }

    /// What its owner calls it.
    #[must_use]
    pub fn with_description(mut self, description: Option<String>) -> Self {
        self.description = description;
        self
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it delivers.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The types that it delivers.
    #[must_use]
    pub fn events(&self) -> &[String] {
        &self.events
    }

    /// Whether it delivers at all. One of which that is unknown is taken to.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active != Some(false)
    }

    /// Whether it delivers; `None` where the API does not say.
    #[must_use]
    pub fn active(&self) -> Option<bool> {
        self.active
    }

    /// What its owner calls it.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }
}

/// An endpoint that is to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    url: String,
    events: Vec<String>,
    description: Option<String>,
}

impl Wanted {
    pub(super) fn new(url: &str, events: Vec<String>, description: Option<String>) -> Self {
        Self { url: url.to_owned(), events, description }
    }

    /// Where to deliver.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The types to deliver, of which there is at least one.
    #[must_use]
    pub fn events(&self) -> &[String] {
        &self.events
    }

    /// What to call it.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }
}

/// What the answer to a question after one endpoint says: only that there is none is no failure.
pub(super) fn exists<T>(retrieved: Result<T, EndpointError>) -> Result<bool, EndpointError> {
    match retrieved {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == EndpointErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
