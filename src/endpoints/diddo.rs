//! Diddo: its endpoint API.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::TryStreamExt as _;
use futures_util::stream::{Stream, try_unfold};
use http::{HeaderName, Method};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use uuid::Uuid;

use super::api::{EndpointApi, Registered, Wanted, exists};
use super::check::{checked, some_events};
use super::error::{EndpointError, EndpointErrorKind};
use super::http::{ANOTHER_ID, Answer, Call, ClientOptions, Http, created, malformed, object_with_list};
use crate::signature::Secret;

/// The most that a page may hold.
const MAX_LIMIT: u32 = 100;

/// How often a list that changes while it is read is read anew.
const MAX_RESTARTS: u32 = 3;

/// The most pages that a list is read in: 20,000 endpoints where the API has twenty on a page.
const MAX_PAGES: u32 = 1_000;

/// A client for Diddo's webhook endpoints. Cheap to clone.
///
/// | call | of the API |
/// |---|---|
/// | [`create`](Self::create) | `POST /webhook` |
/// | [`retrieve`](Self::retrieve) | `GET /webhook/{id}` |
/// | [`update`](Self::update) | `PUT /webhook/{id}` |
/// | [`delete`](Self::delete) | `DELETE /webhook/{id}` |
/// | [`list`](Self::list) | `GET /webhook` |
///
/// What Diddo's documentation does not say is yours to: see [`DiddoSettings`]. Calls that do no harm when repeated are
/// tried again after timeouts, broken connections, 429, 500, 502, 503 and 504; creating is not.
///
/// ```no_run
/// use futures_util::TryStreamExt as _;
/// use tower_webhook::Secret;
/// use tower_webhook::endpoints::{ClientOptions, Diddo, DiddoList, DiddoSettings};
///
/// # async fn list() -> Result<(), tower_webhook::BoxError> {
/// // Invented: take the header and the member from what you have from Diddo.
/// let settings = DiddoSettings::new("x-invented-key", "/invented_secret")?;
/// let key = Secret::new(std::env::var("DIDDO_API_KEY")?)?;
/// let diddo = Diddo::new(&std::env::var("DIDDO_API_URL")?, key, settings, ClientOptions::default())?;
/// let endpoints: Vec<_> = diddo.list(DiddoList::new()).try_collect().await?;
/// println!("{} endpoints", endpoints.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Diddo {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    http: Http,
    settings: DiddoSettings,
}

/// What Diddo's documentation leaves open. Nothing of it has a default.
///
/// ```
/// use tower_webhook::endpoints::DiddoSettings;
///
/// // Invented: take them from what you have from Diddo.
/// let settings = DiddoSettings::new("authorization", "/secret")?
///     .with_key_prefix("Bearer ")
///     .with_active_filter("active")
///     .with_event_filter("event");
/// # let _ = settings;
/// # Ok::<(), tower_webhook::endpoints::EndpointError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct DiddoSettings {
    key_header: HeaderName,
    key_prefix: String,
    secret_at: String,
    active_filter: Option<String>,
    event_filter: Option<String>,
}

impl DiddoSettings {
    /// The header that carries the API key, and where the answer to a creation has the secret, as a JSON pointer.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`](EndpointErrorKind::InvalidRequest) where one is no header name, or the other no pointer to a
    /// member.
    pub fn new(key_header: &str, secret_at: &str) -> Result<Self, EndpointError> {
        let refused =
            |detail| EndpointError::new(EndpointErrorKind::InvalidRequest, "diddo").with_detail(detail);
        let key_header = key_header.parse().map_err(|_| refused("no legal header name"))?;
        if !secret_at.starts_with('/') {
            return Err(refused("a JSON pointer to a member begins with `/`"));
        }
        let (key_prefix, secret_at) = (String::new(), secret_at.to_owned());
        Ok(Self { key_header, key_prefix, secret_at, active_filter: None, event_filter: None })
    }

    /// What stands before the API key in its header, such as `Bearer ` with its blank. Default: nothing.
    pub fn with_key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key_prefix = prefix.into();
        self
    }

    /// The parameter that filters a list by active status. Without it [`DiddoList::with_active`] is an error.
    pub fn with_active_filter(mut self, parameter: impl Into<String>) -> Self {
        self.active_filter = Some(parameter.into());
        self
    }

    /// The parameter that filters a list by event type. Without it [`DiddoList::with_event`] is an error.
    pub fn with_event_filter(mut self, parameter: impl Into<String>) -> Self {
        self.event_filter = Some(parameter.into());
        self
    }
}

/// A webhook endpoint of Diddo.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiddoEndpoint {
    /// Its id.
    pub id: Uuid,
    /// Where events are delivered.
    pub url: String,
    /// The types that are delivered.
    pub events: Vec<String>,
    /// Whether anything is; `None` where the answer does not say.
    pub active: Option<bool>,
    /// What its owner calls it.
    pub description: Option<String>,
}

#[derive(Deserialize)]
struct Wire {
    id: Uuid,
    url: String,
    events: Vec<String>,
    active: Option<bool>,
    description: Option<String>,
}

impl DiddoEndpoint {
    fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        let Wire { id, url, events, active, description } = serde_json::from_slice(json)?;
        Ok(Self { id, url, events, active, description })
    }
}

/// What is to be changed of an endpoint.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct DiddoUpdate {
    members: Map<String, Value>,
}

impl DiddoUpdate {
    /// Nothing, so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on delivering, or pauses.
    pub fn with_active(self, active: bool) -> Self {
        self.with("active", json!(active))
    }

    /// Calls it something else.
    pub fn with_description(self, description: impl Into<String>) -> Self {
        self.with("description", json!(description.into()))
    }

    /// Delivers these types and no others.
    pub fn with_events<T: Into<String>>(self, events: impl IntoIterator<Item = T>) -> Self {
        let events: Vec<String> = events.into_iter().map(Into::into).collect();
        self.with("events", json!(events))
    }

    /// Delivers to another URL, https.
    pub fn with_url(self, url: impl Into<String>) -> Self {
        self.with("url", json!(url.into()))
    }

    fn with(mut self, member: &str, value: Value) -> Self {
        self.members.insert(member.to_owned(), value);
        self
    }
}

/// Which endpoints to list, and how many at a time.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct DiddoList {
    active: Option<bool>,
    event: Option<String>,
    limit: Option<u32>,
}

impl DiddoList {
    /// All of them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those that deliver, or those that do not. Needs [`DiddoSettings::with_active_filter`].
    pub fn with_active(mut self, active: bool) -> Self {
        self.active = Some(active);
        self
    }

    /// Those that deliver a type. Needs [`DiddoSettings::with_event_filter`].
    pub fn with_event(mut self, event_type: impl Into<String>) -> Self {
        self.event = Some(event_type.into());
        self
    }

    /// How many endpoints an answer may hold (`limit`): 2 to 100, what is beyond counts as the nearest of the two.
    /// Default: 100.
    pub fn with_limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit.clamp(2, MAX_LIMIT));
        self
    }
}

impl Diddo {
    /// A client of the API at `base_url` (what stands before `/webhook`).
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`](EndpointErrorKind::InvalidUrl) unless the URL is https, or on loopback where
    /// [that is allowed](ClientOptions::allow_loopback).
    #[expect(clippy::needless_pass_by_value, reason = "a key that is given away is wiped")]
    pub fn new(
        base_url: &str,
        key: Secret,
        settings: DiddoSettings,
        options: ClientOptions,
    ) -> Result<Self, EndpointError> {
        let credential = (settings.key_header.clone(), &*settings.key_prefix, &key);
        let http = Http::new("diddo", base_url, credential, options)?;
        Ok(Self { inner: Arc::new(Inner { http, settings }) })
    }

    fn http(&self) -> &Http {
        &self.inner.http
    }

    /// Creates an endpoint at `url`, https, for events of these types, of which there is at least one. The secret is in
    /// no other answer.
    ///
    /// # Errors
    ///
    /// [`OutcomeUnknown`](EndpointErrorKind::OutcomeUnknown) where the answer was lost or the API failed,
    /// [`SecretMissing`](EndpointErrorKind::SecretMissing) where it holds no secret at the place that the settings
    /// name, [`Conflict`](EndpointErrorKind::Conflict), and whatever else [`EndpointErrorKind`] lists.
    pub async fn create(
        &self,
        url: &str,
        events: &[String],
        description: Option<&str>,
    ) -> Result<(DiddoEndpoint, Secret), EndpointError> {
        const OPERATION: &str = "create endpoint";
        self.check(OPERATION, Some(url), Some(events))?;
        let mut body = json!({ "url": url, "events": events });
        if let Some(description) = description {
            body["description"] = description.into();
        }
        let http = self.http();
        let answer = http.call(Call::create(OPERATION, &["webhook"], body.to_string().into_bytes())).await?;
        let (id, secret) = created(http, OPERATION, &answer, &self.inner.settings.secret_at)?;
        // Whatever else is wrong with the answer, it must not cost the secret.
        let endpoint = DiddoEndpoint::read(&answer.body).unwrap_or_else(|_| DiddoEndpoint {
            id,
            url: url.to_owned(),
            events: events.to_vec(),
            active: None,
            description: description.map(str::to_owned),
        });
        Ok((endpoint, secret))
    }

    /// Reads an endpoint.
    ///
    /// # Errors
    ///
    /// [`NotFound`](EndpointErrorKind::NotFound), and whatever else [`EndpointErrorKind`] lists.
    pub async fn retrieve(&self, id: Uuid) -> Result<DiddoEndpoint, EndpointError> {
        const OPERATION: &str = "retrieve endpoint";
        let (asked, id) = (id, id.to_string());
        self.endpoint(OPERATION, asked, &self.http().call(Call::get(OPERATION, &["webhook", &id])).await?)
    }

    /// Changes what `update` names, and leaves the rest.
    ///
    /// # Errors
    ///
    /// [`NotFound`](EndpointErrorKind::NotFound), [`Conflict`](EndpointErrorKind::Conflict), and whatever else
    /// [`EndpointErrorKind`] lists.
    pub async fn update(&self, id: Uuid, update: &DiddoUpdate) -> Result<DiddoEndpoint, EndpointError> {
        const OPERATION: &str = "update endpoint";
        let url = update.members.get("url").and_then(Value::as_str);
        let events: Option<Vec<String>> = update.members.get("events").map(|events| {
            events
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|one| one.as_str().map(str::to_owned))
                .collect()
        });
        self.check(OPERATION, url, events.as_deref())?;
        let (asked, id) = (id, id.to_string());
        let body = json!(update.members).to_string().into_bytes();
        let path = ["webhook", &*id];
        let answer = self.http().call(Call::update(OPERATION, Method::PUT, &path, body)).await?;
        self.endpoint(OPERATION, asked, &answer)
    }

    /// Deletes an endpoint, which cannot be undone. One that an attempt of this call has deleted, whose answer was lost,
    /// counts as deleted.
    ///
    /// # Errors
    ///
    /// [`NotFound`](EndpointErrorKind::NotFound), and whatever else [`EndpointErrorKind`] lists.
    pub async fn delete(&self, id: Uuid) -> Result<(), EndpointError> {
        const OPERATION: &str = "delete endpoint";
        let id = id.to_string();
        self.http().call(Call::delete(OPERATION, &["webhook", &id])).await.map(drop)
    }

    /// The endpoints that `list` asks for, from all pages.
    ///
    /// Pages are counted from the beginning of the list (`offset`), so that an endpoint that is deleted meanwhile would
    /// hide another one. Pages therefore overlap by one endpoint. Where they do not, or where a page brings nothing but
    /// what has been read, the list has changed: it is read anew, without what has been seen, and after three times given
    /// up ([`IncompleteList`](EndpointErrorKind::IncompleteList)). So it is after 1,000 pages.
    ///
    /// A page may be shorter than was asked for: the list ends where nothing comes after the last endpoint, which takes
    /// one call more than there are pages. Nothing is asked before the stream is polled; it ends with its first error.
    pub fn list(&self, list: DiddoList) -> DiddoEndpoints {
        let pages = Pages {
            client: self.clone(),
            list,
            offset: 0,
            last: None,
            is_done: false,
            restarts: 0,
            pages: 0,
            read: HashSet::new(),
            seen: HashSet::new(),
            page: VecDeque::new(),
        };
        DiddoEndpoints { inner: Box::pin(try_unfold(pages, Pages::next)) }
    }

    /// The endpoint that was asked for.
    fn endpoint(
        &self,
        operation: &'static str,
        id: Uuid,
        answer: &Answer,
    ) -> Result<DiddoEndpoint, EndpointError> {
        match DiddoEndpoint::read(&answer.body) {
            Ok(endpoint) if endpoint.id == id => Ok(endpoint),
            Ok(_) => Err(malformed(self.http(), operation, answer, ANOTHER_ID)),
            Err(error) => Err(malformed(self.http(), operation, answer, error)),
        }
    }

    fn check(
        &self,
        operation: &'static str,
        url: Option<&str>,
        events: Option<&[String]>,
    ) -> Result<(), EndpointError> {
        if let Some(url) = url {
            let allow_loopback = self.http().options().allows_loopback();
            checked("diddo", url, allow_loopback).map_err(|error| error.during(operation))?;
        }
        events.map_or(Ok(()), |events| some_events(self.http(), operation, events))
    }

    fn parse_id(&self, operation: &'static str, id: &str) -> Result<Uuid, EndpointError> {
        id.parse().map_err(|_| {
            let error = self.http().error(EndpointErrorKind::InvalidRequest, operation);
            error.with_detail("an id of Diddo is a UUID")
        })
    }
}

/// Endpoints of Diddo. From [`Diddo::list`].
pub struct DiddoEndpoints {
    inner: Pin<Box<dyn Stream<Item = Result<DiddoEndpoint, EndpointError>> + Send>>,
}

impl Stream for DiddoEndpoints {
    type Item = Result<DiddoEndpoint, EndpointError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for DiddoEndpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiddoEndpoints").finish_non_exhaustive()
    }
}

/// What is still to be read.
struct Pages {
    client: Diddo,
    list: DiddoList,
    offset: u64,
    /// The last endpoint of the page before, which the next page begins with.
    last: Option<Uuid>,
    is_done: bool,
    restarts: u32,
    pages: u32,
    /// What this reading came upon.
    read: HashSet<Uuid>,
    /// What any reading did.
    seen: HashSet<Uuid>,
    page: VecDeque<DiddoEndpoint>,
}

impl Pages {
    async fn next(mut self) -> Result<Option<(DiddoEndpoint, Self)>, EndpointError> {
        loop {
            if let Some(endpoint) = self.page.pop_front() {
                return Ok(Some((endpoint, self)));
            }
            if self.is_done {
                return Ok(None);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), EndpointError> {
        const OPERATION: &str = "list endpoints";
        let http = self.client.http();
        let limit = self.list.limit.unwrap_or(MAX_LIMIT);
        let incomplete = |detail: String| {
            Err(http.error(EndpointErrorKind::IncompleteList, OPERATION).with_detail(detail))
        };
        if self.pages == MAX_PAGES {
            return incomplete(format!("after {MAX_PAGES} pages there is still more"));
        }
        self.pages += 1;
        let mut call = Call::get(OPERATION, &["webhook"]);
        call.query = self.filters(OPERATION)?;
        call.query.push(("limit".to_owned(), limit.to_string()));
        call.query.push(("offset".to_owned(), self.offset.to_string()));
        let answer = http.call(call).await?;
        let (items, has_more) = object_with_list(http, OPERATION, &answer)?;
        let read = items
            .iter()
            .map(|item| DiddoEndpoint::read(item.get().as_bytes()))
            .collect::<Result<Vec<_>, _>>();
        let endpoints = read.map_err(|error| malformed(http, OPERATION, &answer, error))?;
        let overlaps = endpoints.first().map(|first| first.id) == self.last;
        let after = endpoints.get(usize::from(self.last.is_some())..).unwrap_or_default();
        let has_new = after.iter().filter(|endpoint| self.read.insert(endpoint.id)).count() > 0;
        if self.last.is_some() && !overlaps || !after.is_empty() && !has_new {
            self.restarts += 1;
            if self.restarts > MAX_RESTARTS {
                return incomplete("it went on changing while it was read".to_owned());
            }
            (self.offset, self.last) = (0, None);
            self.read.clear();
            return Ok(());
        }
        if after.is_empty() && has_more == Some(true) {
            return incomplete("the API says that there is more, and does not list it".to_owned());
        }
        // Not where a page is but shorter than was asked for: it may be as long as the API's pages are. They hold two at
        // least, or none could follow another.
        let is_short = u32::try_from(endpoints.len()).is_ok_and(|count| count < limit);
        self.is_done = after.is_empty()
            || endpoints.len() == 1 && has_more != Some(true)
            || is_short && has_more == Some(false);
        self.offset += u64::try_from(endpoints.len()).unwrap_or(u64::MAX).saturating_sub(1);
        self.last = endpoints.last().map(|last| last.id);
        let new = endpoints.into_iter().filter(|endpoint| self.seen.insert(endpoint.id));
        self.page.extend(new.collect::<Vec<_>>());
        Ok(())
    }

    fn filters(&self, operation: &'static str) -> Result<Vec<(String, String)>, EndpointError> {
        let settings = &self.client.inner.settings;
        let mut query = Vec::new();
        for (parameter, value) in [
            (&settings.active_filter, self.list.active.map(|active| active.to_string())),
            (&settings.event_filter, self.list.event.clone()),
        ] {
            match (parameter, value) {
                (_, None) => {}
                (Some(parameter), Some(value)) => query.push((parameter.clone(), value)),
                (None, Some(_)) => {
                    let error = self.client.http().error(EndpointErrorKind::InvalidRequest, operation);
                    return Err(error
                        .with_detail("Diddo documents no name for this filter: `DiddoSettings` takes one"));
                }
            }
        }
        Ok(query)
    }
}

impl EndpointApi for Diddo {
    fn provider(&self) -> &str {
        "diddo"
    }

    fn event_types(&self) -> Vec<String> {
        crate::provider::diddo::EVENT_TYPES.iter().map(|&event_type| event_type.to_owned()).collect()
    }

    fn check_url(&self, url: &str) -> Result<(), EndpointError> {
        checked("diddo", url, self.http().options().allows_loopback()).map(drop)
    }

    fn call_deadline(&self) -> std::time::Duration {
        self.http().options().longest_call()
    }

    /// All pages together have the time of one call, since that is for how long a lock is held.
    async fn list(&self) -> Result<Vec<Registered>, EndpointError> {
        let all = Self::list(self, DiddoList::new()).map_ok(Registered::from).try_collect();
        let too_late = |_| {
            let error = self.http().error(EndpointErrorKind::Timeout, "list endpoints");
            error.with_detail("all pages together took longer than one call may")
        };
        timeout(self.call_deadline(), all).await.map_err(too_late)?
    }

    async fn exists(&self, id: &str) -> Result<bool, EndpointError> {
        // No other id can be an endpoint's.
        let Ok(id) = id.parse() else { return Ok(false) };
        exists(self.retrieve(id).await)
    }

    async fn create(&self, wanted: &Wanted) -> Result<(Registered, Secret), EndpointError> {
        let (endpoint, secret) =
            Self::create(self, wanted.url(), wanted.events(), wanted.description()).await?;
        Ok((endpoint.into(), secret))
    }

    async fn set_events(&self, id: &str, events: &[String]) -> Result<Registered, EndpointError> {
        let id = self.parse_id("update endpoint", id)?;
        self.update(id, &DiddoUpdate::new().with_events(events)).await.map(Registered::from)
    }

    async fn set_active(&self, id: &str, active: bool) -> Result<Registered, EndpointError> {
        let id = self.parse_id("update endpoint", id)?;
        self.update(id, &DiddoUpdate::new().with_active(active)).await.map(Registered::from)
    }

    async fn set_description(&self, id: &str, description: &str) -> Result<(), EndpointError> {
        let id = self.parse_id("update endpoint", id)?;
        self.update(id, &DiddoUpdate::new().with_description(description)).await.map(drop)
    }

    async fn delete(&self, id: &str) -> Result<(), EndpointError> {
        Self::delete(self, self.parse_id("delete endpoint", id)?).await
    }
}

impl From<DiddoEndpoint> for Registered {
    fn from(endpoint: DiddoEndpoint) -> Self {
        Self::new(endpoint.id.to_string(), endpoint.url, endpoint.events)
            .with_active(endpoint.active)
            .with_description(endpoint.description)
    }
}
