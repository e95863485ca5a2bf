//! CasaPay's events, as its API lists them.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::stream::{Stream, try_unfold};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::window::Window;
use super::{CasaPay, NO_EVENT};
use crate::clock::unix_seconds;
use crate::endpoints::error::{EndpointError, EndpointErrorKind};
use crate::endpoints::http::{Answer, Call, malformed, object_with_list};

/// The most that one answer may hold.
const MAX_LIMIT: u32 = 100;

const OPERATION: &str = "list events";

/// An answer with fewer events than that is all of them: no API has pages as short without saying so.
const SHORTEST_PAGE: usize = 10;

/// An event that was asked for. One whose id, type or time is missing, or of another form than documented, is as good as
/// any other here: what cannot be read is for whoever processes it to put aside. Its `Debug` output shows id and type, not the body.
#[derive(Clone)]
pub struct FetchedEvent {
    id: String,
    event_type: String,
    created: Option<u64>,
    body: Bytes,
}

#[derive(Default, Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    event_type: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
}

impl FetchedEvent {
    /// `None` where it is no object.
    pub(super) fn read(raw: &RawValue) -> Option<Self> {
        let json = raw.get();
        if !json.starts_with('{') {
            return None;
        }
        let Wire { id, event_type, created } = serde_json::from_str(json).unwrap_or_default();
        let text = |value: Option<&RawValue>| serde_json::from_str(value?.get()).ok();
        Some(Self {
            id: text(id).unwrap_or_default(),
            event_type: text(event_type).unwrap_or_default(),
            created: created.and_then(|created| serde_json::from_str(created.get()).ok()),
            body: Bytes::copy_from_slice(json.as_bytes()),
        })
    }

    /// Its id, `evt_..`; empty where it has none that can be read.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its type; empty where it has none that can be read.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// When it came about, in Unix seconds; `None` where it has no time that can be read.
    #[must_use]
    pub fn created(&self) -> Option<u64> {
        self.created
    }

    /// The event object, as the API wrote it.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

impl fmt::Debug for FetchedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchedEvent")
            .field("id", &self.id)
            .field("event_type", &self.event_type)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

/// Which events to list. Default: all.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_webhook::endpoints::EventQuery;
///
/// let hour_ago = SystemTime::now() - Duration::from_secs(3600);
/// let query = EventQuery::new().with_type("invoice.paid").created_from(hour_ago).with_delivery_success(false);
/// # let _ = query;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct EventQuery {
    event_type: Option<String>,
    types: Option<(Vec<String>, ListStyle)>,
    from: u64,
    until: Option<u64>,
    delivery_success: Option<bool>,
    limit: Option<u32>,
}

/// How the parameter `types` says several types, which is not documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListStyle {
    /// `types=a,b`
    Commas,
    /// `types=a&types=b`
    Repeated,
    /// `types[]=a&types[]=b`
    Brackets,
}

impl EventQuery {
    /// All events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of this type (`type`).
    pub fn with_type(mut self, event_type: impl Into<String>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }

    /// Of one of these types (`types`).
    pub fn with_types<T: Into<String>>(
        mut self,
        types: impl IntoIterator<Item = T>,
        style: ListStyle,
    ) -> Self {
        self.types = Some((types.into_iter().map(Into::into).collect(), style));
        self
    }

    /// Created at this time or later (`created[gte]`), to the second.
    pub fn created_from(mut self, time: SystemTime) -> Self {
        self.from = unix_seconds(time);
        self
    }

    /// Created at this time or earlier (`created[lte]`), to the second.
    pub fn created_until(mut self, time: SystemTime) -> Self {
        self.until = Some(unix_seconds(time));
        self
    }

    /// Delivered, or not (`delivery_success`).
    pub fn with_delivery_success(mut self, delivered: bool) -> Self {
        self.delivery_success = Some(delivered);
        self
    }

    /// How many events an answer may hold (`limit`): at least 2, since one that is full is not known to be complete, at
    /// most 100; what is beyond counts as the nearest of the two. Default: 100.
    pub fn with_limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit.clamp(2, MAX_LIMIT));
        self
    }

    /// Created in these seconds, both included.
    pub(in crate::endpoints) fn within(mut self, from: u64, until: u64) -> Self {
        (self.from, self.until) = (from, Some(until));
        self
    }

    fn limit(&self) -> u32 {
        self.limit.unwrap_or(MAX_LIMIT)
    }

    fn parameters(&self, window: Window) -> Vec<(String, String)> {
        let mut parameters = Vec::new();
        let mut add = |name: &str, value: String| parameters.push((name.to_owned(), value));
        if let Some(event_type) = &self.event_type {
            add("type", event_type.clone());
        }
        match &self.types {
            Some((types, ListStyle::Commas)) => add("types", types.join(",")),
            Some((types, ListStyle::Repeated)) => types.iter().for_each(|one| add("types", one.clone())),
            Some((types, ListStyle::Brackets)) => types.iter().for_each(|one| add("types[]", one.clone())),
            None => {}
        }
        if window.from > 0 {
            add("created[gte]", window.from.to_string());
        }
        if let Some(until) = window.until {
            add("created[lte]", until.to_string());
        }
        if let Some(delivered) = self.delivery_success {
            add("delivery_success", delivered.to_string());
        }
        add("limit", self.limit().to_string());
        parameters
    }
}

/// Events, oldest first; those without a time that can be read come first among their neighbours. From
/// [`CasaPay::events`].
pub struct EventStream {
    inner: Pin<Box<dyn Stream<Item = Result<FetchedEvent, EndpointError>> + Send>>,
}

/// What is still to be read.
struct Pages {
    client: CasaPay,
    query: EventQuery,
    /// The next one last.
    windows: Vec<Window>,
    /// Whether it has been asked how much an answer can hold.
    has_asked: bool,
    page: VecDeque<FetchedEvent>,
    /// Why it ends after this page.
    failed: Option<EndpointError>,
}

impl EventStream {
    pub(super) fn new(client: CasaPay, query: EventQuery) -> Self {
        let windows = match query.until {
            Some(until) if until < query.from => Vec::new(),
            until => vec![Window { from: query.from, until }],
        };
        let pages = Pages { client, query, windows, has_asked: false, page: VecDeque::new(), failed: None };
        Self { inner: Box::pin(try_unfold(pages, Pages::next)) }
    }
}

impl Pages {
    async fn next(mut self) -> Result<Option<(FetchedEvent, Self)>, EndpointError> {
        loop {
            if let Some(event) = self.page.pop_front() {
                return Ok(Some((event, self)));
            }
            if let Some(error) = self.failed {
                return Err(error);
            }
            let Some(window) = self.windows.pop() else { return Ok(None) };
            self.read(window).await?;
        }
    }

    async fn read(&mut self, window: Window) -> Result<(), EndpointError> {
        let (answer, items, has_more) = self.ask(self.query.parameters(window)).await?;
        let http = Arc::clone(&self.client.http);
        let refused = |problem: &'static str| Err(malformed(&http, OPERATION, &answer, problem));
        let events = items.iter().map(|item| FetchedEvent::read(item)).collect::<Option<Vec<_>>>();
        let Some(mut events) = events else { return refused(NO_EVENT) };
        let created: Vec<_> = events.iter().filter_map(FetchedEvent::created).collect();
        if !created.iter().all(|&created| window.contains(created)) {
            // Of an API that does not keep to the time no part could be known to be complete.
            return refused("events from outside of the time that was asked for");
        }
        if has_more == Some(true) && events.is_empty() {
            return refused("it has no event, and says that there are more");
        }
        if self.may_be_cut(events.len(), has_more).await? {
            if created.is_empty() {
                return refused("none of the events says when it came about");
            }
            // Oldest first: everything before this second has been read.
            if let Some(parts) = window.divide(&created) {
                self.windows.extend(parts.into_iter().rev());
                return Ok(());
            }
            // Some are better than none, though nobody knows whether they are all.
            let too_many = http.error(EndpointErrorKind::TooManyEvents, OPERATION);
            self.failed = Some(too_many.with_second(window.from));
        }
        events.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        self.page.extend(events);
        Ok(())
    }

    /// Whether what a window was answered with may not be all of it.
    async fn may_be_cut(&mut self, count: usize, has_more: Option<bool>) -> Result<bool, EndpointError> {
        let limit = usize::try_from(self.query.limit()).unwrap_or(usize::MAX);
        if let Some(has_more) = has_more {
            return Ok(has_more || count >= limit);
        }
        if count >= limit || count < SHORTEST_PAGE {
            return Ok(count >= limit);
        }
        // Its pages may be shorter than it says. One that was longer shows that this one could have been.
        if count < self.client.longest_page.load(Relaxed) {
            return Ok(false);
        }
        if !std::mem::replace(&mut self.has_asked, true) {
            self.ask(EventQuery::new().parameters(Window { from: 0, until: None })).await?;
        }
        Ok(count >= self.client.longest_page.load(Relaxed))
    }

    async fn ask(
        &self,
        parameters: Vec<(String, String)>,
    ) -> Result<(Answer, Vec<Box<RawValue>>, Option<bool>), EndpointError> {
        let http = &self.client.http;
        let mut call = Call::get(OPERATION, &["v1", "events"]);
        call.query = parameters;
        let answer = http.call(call).await?;
        let (items, has_more) = object_with_list(http, OPERATION, &answer)?;
        self.client.longest_page.fetch_max(items.len(), Relaxed);
        Ok((answer, items, has_more))
    }
}

impl Stream for EventStream {
    type Item = Result<FetchedEvent, EndpointError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inner.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}
