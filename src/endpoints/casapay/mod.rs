//! CasaPay: its endpoint API, and its events.

mod endpoint;
mod events;
mod window;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use http::Method;
use http::header::AUTHORIZATION;
use serde_json::json;

pub use self::endpoint::{CasaPayEndpoint, EndpointStatus, EndpointUpdate, NewEndpoint};
pub use self::events::{EventQuery, EventStream, FetchedEvent, ListStyle};
use super::api::{EndpointApi, Registered, Wanted, exists};
use super::check::{checked, is_id};
use super::error::{EndpointError, EndpointErrorKind};
use super::http::{
    ANOTHER_ID, Answer, Call, ClientOptions, Http, created, malformed, object_with_list, read,
};
use crate::signature::Secret;

const NO_EVENT: &str = "an event is no object";

const ENDPOINTS: &str = "webhook_endpoints";

/// A client for CasaPay's webhook endpoints and events. Cheap to clone.
///
/// | call | of the API |
/// |---|---|
/// | [`create`](Self::create) | `POST /v1/webhook_endpoints` |
/// | [`retrieve`](Self::retrieve) | `GET /v1/webhook_endpoints/:id` |
/// | [`update`](Self::update) | `POST /v1/webhook_endpoints/:id` |
/// | [`delete`](Self::delete) | `DELETE /v1/webhook_endpoints/:id` |
/// | [`list`](Self::list) | `GET /v1/webhook_endpoints` |
/// | [`retrieve_event`](Self::retrieve_event) | `GET /v1/events/:id` |
/// | [`events`](Self::events) | `GET /v1/events` |
///
/// Calls that do no harm when repeated are tried again after timeouts, broken connections, 429, 500, 502, 503 and 504:
/// reading, deleting, and updating, which sets given values. Creating is not.
///
/// ```no_run
/// use tower_webhook::Secret;
/// use tower_webhook::endpoints::{CasaPay, ClientOptions, NewEndpoint};
///
/// # async fn create() -> Result<(), tower_webhook::BoxError> {
/// let key = Secret::new(std::env::var("CASAPAY_API_KEY")?)?;
/// let casapay = CasaPay::new(&std::env::var("CASAPAY_API_URL")?, key, ClientOptions::default())?;
/// let new = NewEndpoint::new("https://shop.example/webhooks/casapay", ["invoice.paid"]);
/// let (endpoint, secret) = casapay.create(&new).await?;
/// assert_eq!(format!("{secret:?}"), "Secret(redacted)"); // shown once: keep it
/// println!("{} delivers {:?}", endpoint.id, endpoint.enabled_events);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CasaPay {
    http: Arc<Http>,
    livemode: bool,
    /// How many events an answer had at most, so far: it is not known to be able to have more.
    longest_page: Arc<AtomicUsize>,
}

impl CasaPay {
    /// A client of the API at `base_url` (what stands before `/v1`), with a key `sk_test_..` or `sk_live_..`.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`](EndpointErrorKind::InvalidUrl) unless the URL is https, or on loopback where
    /// [that is allowed](ClientOptions::allow_loopback); [`InvalidRequest`](EndpointErrorKind::InvalidRequest) for
    /// what is no API key, a signing secret for instance.
    #[expect(clippy::needless_pass_by_value, reason = "a key that is given away is wiped")]
    pub fn new(base_url: &str, key: Secret, options: ClientOptions) -> Result<Self, EndpointError> {
        let livemode = key.expose().starts_with("sk_live_");
        if !livemode && !key.expose().starts_with("sk_test_") {
            return Err(EndpointError::new(EndpointErrorKind::InvalidRequest, "casapay")
                .with_detail("an API key begins with `sk_test_` or `sk_live_`"));
        }
        let http = Http::new("casapay", base_url, (AUTHORIZATION, "Bearer ", &key), options)?;
        Ok(Self { http: Arc::new(http), livemode, longest_page: Arc::default() })
    }

    /// Whether the key is a live one. One of test mode sees test endpoints and events.
    #[must_use]
    pub fn livemode(&self) -> bool {
        self.livemode
    }

    /// Creates an endpoint. The secret is in no other answer.
    ///
    /// # Errors
    ///
    /// [`OutcomeUnknown`](EndpointErrorKind::OutcomeUnknown) where the answer was lost or the API failed,
    /// [`SecretMissing`](EndpointErrorKind::SecretMissing) where it holds no secret, and whatever else
    /// [`EndpointErrorKind`] lists.
    pub async fn create(&self, new: &NewEndpoint) -> Result<(CasaPayEndpoint, Secret), EndpointError> {
        const OPERATION: &str = "create endpoint";
        let body = new.body(&self.http, OPERATION)?;
        let path = ["v1", ENDPOINTS];
        let answer = self.http.call(Call::create(OPERATION, &path, body)).await?;
        let (id, secret) = created(&self.http, OPERATION, &answer, "/secret")?;
        // Whatever else is wrong with the answer, it must not cost the secret.
        let endpoint = CasaPayEndpoint::read(&answer.body);
        Ok((endpoint.unwrap_or_else(|_| CasaPayEndpoint::as_asked(id, new)), secret))
    }

    /// Reads an endpoint.
    ///
    /// # Errors
    ///
    /// [`NotFound`](EndpointErrorKind::NotFound), and whatever else [`EndpointErrorKind`] lists.
    pub async fn retrieve(&self, id: &str) -> Result<CasaPayEndpoint, EndpointError> {
        const OPERATION: &str = "retrieve endpoint";
        self.check_id(OPERATION, id)?;
        let path = ["v1", ENDPOINTS, id];
        self.endpoint(OPERATION, id, &self.http.call(Call::get(OPERATION, &path)).await?)
    }

    /// Changes what `update` names, and leaves the rest.
    ///
    /// # Errors
    ///
    /// [`NotFound`](EndpointErrorKind::NotFound), and whatever else [`EndpointErrorKind`] lists.
    pub async fn update(&self, id: &str, update: &EndpointUpdate) -> Result<CasaPayEndpoint, EndpointError> {
        const OPERATION: &str = "update endpoint";
        self.check_id(OPERATION, id)?;
        let body = update.body(&self.http, OPERATION)?;
        let path = ["v1", ENDPOINTS, id];
        let answer = self.http.call(Call::update(OPERATION, Method::POST, &path, body)).await?;
        self.endpoint(OPERATION, id, &answer)
    }

    /// Deletes an endpoint. One that an attempt of this call has deleted, whose answer was lost, counts as deleted.
    ///
    /// # Errors
    ///
    /// [`NotFound`](EndpointErrorKind::NotFound), and whatever else [`EndpointErrorKind`] lists.
    pub async fn delete(&self, id: &str) -> Result<(), EndpointError> {
        const OPERATION: &str = "delete endpoint";
        self.check_id(OPERATION, id)?;
        self.http.call(Call::delete(OPERATION, &["v1", ENDPOINTS, id])).await.map(drop)
    }

    /// All endpoints. One that stands in the answer twice counts once, as it stands there first.
    ///
    /// # Errors
    ///
    /// [`IncompleteList`](EndpointErrorKind::IncompleteList) where the API says that there are more: no way to ask for
    /// them is documented. And whatever else [`EndpointErrorKind`] lists.
    pub async fn list(&self) -> Result<Vec<CasaPayEndpoint>, EndpointError> {
        const OPERATION: &str = "list endpoints";
        let answer = self.http.call(Call::get(OPERATION, &["v1", ENDPOINTS])).await?;
        let (items, has_more) = object_with_list(&self.http, OPERATION, &answer)?;
        if has_more == Some(true) {
            let error = self.http.error(EndpointErrorKind::IncompleteList, OPERATION);
            return Err(error.with_detail("the API has more endpoints than it lists"));
        }
        let read = items.iter().map(|item| CasaPayEndpoint::read(item.get().as_bytes()));
        let read = read.collect::<Result<Vec<_>, _>>();
        let mut endpoints = read.map_err(|error| malformed(&self.http, OPERATION, &answer, error))?;
        let mut seen = HashSet::new();
        endpoints.retain(|endpoint| seen.insert(endpoint.id.clone()));
        Ok(endpoints)
    }

    /// Reads one event.
    ///
    /// # Errors
    ///
    /// [`NotFound`](EndpointErrorKind::NotFound), and whatever else [`EndpointErrorKind`] lists.
    pub async fn retrieve_event(&self, id: &str) -> Result<FetchedEvent, EndpointError> {
        const OPERATION: &str = "retrieve event";
        self.check_id(OPERATION, id)?;
        let answer = self.http.call(Call::get(OPERATION, &["v1", "events", id])).await?;
        let raw: Box<serde_json::value::RawValue> = read(&self.http, OPERATION, &answer)?;
        match FetchedEvent::read(&raw) {
            Some(event) if event.id() == id => Ok(event),
            Some(_) => Err(malformed(&self.http, OPERATION, &answer, ANOTHER_ID)),
            None => Err(malformed(&self.http, OPERATION, &answer, NO_EVENT)),
        }
    }

    /// The events that `query` asks for, oldest first, from as many answers as it takes.
    ///
    /// No cursor is documented, so that pages are spans of time: one that has more events than an answer holds is
    /// divided. Of more than that within one second only so many can be read; after them it ends with
    /// [`TooManyEvents`](EndpointErrorKind::TooManyEvents).
    /// What is created while it runs may or may not be seen. An event whose id, type or time cannot be read is listed as
    /// it came. Nothing is asked before the stream is polled; it ends with its first error.
    ///
    /// An answer with fewer events than were asked for counts as all where it says so (`has_more`), where it has fewer
    /// than ten, or where another one had more. Whether one can have more is asked once, where it matters.
    ///
    /// ```no_run
    /// use std::time::{Duration, SystemTime};
    ///
    /// use futures_util::TryStreamExt as _;
    /// use tower_webhook::endpoints::{CasaPay, EventQuery};
    ///
    /// # async fn missed(casapay: CasaPay) -> Result<(), tower_webhook::BoxError> {
    /// let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    /// let query = EventQuery::new().created_from(yesterday).with_delivery_success(false);
    /// let mut missed = casapay.events(query);
    /// while let Some(event) = missed.try_next().await? {
    ///     println!("{} {}", event.event_type(), event.id());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn events(&self, query: EventQuery) -> EventStream {
        EventStream::new(self.clone(), query)
    }

    /// The endpoint that was asked for.
    fn endpoint(
        &self,
        operation: &'static str,
        id: &str,
        answer: &Answer,
    ) -> Result<CasaPayEndpoint, EndpointError> {
        match CasaPayEndpoint::read(&answer.body) {
            Ok(endpoint) if endpoint.id == id => Ok(endpoint),
            Ok(_) => Err(malformed(&self.http, operation, answer, ANOTHER_ID)),
            Err(error) => Err(malformed(&self.http, operation, answer, error)),
        }
    }

    fn check_id(&self, operation: &'static str, id: &str) -> Result<(), EndpointError> {
        if is_id(id) {
            return Ok(());
        }
        let error = self.http.error(EndpointErrorKind::InvalidRequest, operation);
        Err(error.with_detail("an id has 1 to 255 of A-Z, a-z, 0-9, `_` and `-`"))
    }
}

impl EndpointApi for CasaPay {
    fn provider(&self) -> &str {
        "casapay"
    }

    fn event_types(&self) -> Vec<String> {
        crate::provider::casapay::EVENT_TYPES.iter().map(|&event_type| event_type.to_owned()).collect()
    }

    fn check_url(&self, url: &str) -> Result<(), EndpointError> {
        checked("casapay", url, self.http.options().allows_loopback()).map(drop)
    }

    fn call_deadline(&self) -> std::time::Duration {
        self.http.options().longest_call()
    }

    async fn list(&self) -> Result<Vec<Registered>, EndpointError> {
        Ok(Self::list(self).await?.into_iter().map(Registered::from).collect())
    }

    async fn exists(&self, id: &str) -> Result<bool, EndpointError> {
        exists(self.retrieve(id).await)
    }

    async fn create(&self, wanted: &Wanted) -> Result<(Registered, Secret), EndpointError> {
        let mut new = NewEndpoint::new(wanted.url(), wanted.events());
        if let Some(description) = wanted.description() {
            new = new.with_description(description);
        }
        let (endpoint, secret) = Self::create(self, &new).await?;
        Ok((endpoint.into(), secret))
    }

    async fn set_events(&self, id: &str, events: &[String]) -> Result<Registered, EndpointError> {
        let update = EndpointUpdate::new().with_enabled_events(events);
        self.update(id, &update).await.map(Registered::from)
    }

    async fn set_active(&self, id: &str, active: bool) -> Result<Registered, EndpointError> {
        let status = if active { EndpointStatus::Enabled } else { EndpointStatus::Disabled };
        self.update(id, &EndpointUpdate::new().with_status(status)).await.map(Registered::from)
    }

    async fn set_description(&self, id: &str, description: &str) -> Result<(), EndpointError> {
        self.update(id, &EndpointUpdate::new().with_description(description)).await.map(drop)
    }

    async fn delete(&self, id: &str) -> Result<(), EndpointError> {
        Self::delete(self, id).await
    }
}

impl From<CasaPayEndpoint> for Registered {
    fn from(endpoint: CasaPayEndpoint) -> Self {
        let active = endpoint.status != EndpointStatus::Disabled;
        Self::new(endpoint.id, endpoint.url, endpoint.enabled_events)
            .with_active(active)
            .with_description(endpoint.description)
    }
}

/// A body of the members that are there.
fn object(members: impl IntoIterator<Item = (&'static str, Option<serde_json::Value>)>) -> Vec<u8> {
    let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    json!(serde_json::Map::from_iter(members)).to_string().into_bytes()
}
