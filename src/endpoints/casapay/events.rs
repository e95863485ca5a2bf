//! CasaPay's events, as its API lists them.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::stream::{Stream, try_unfold};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::CasaPay;
use super::window::Window;
use crate::clock::unix_seconds;
use crate::endpoints::error::{EndpointError, EndpointErrorKind};
use crate::endpoints::http::{Call, malformed, object_with_list};

/// The most that one answer may hold.
const MAX_LIMIT: u32 = 100;

/// An event that was asked for. Its `Debug` output shows id and type, not the body.
#[derive(Clone)]
pub struct FetchedEvent {
    id: String,
    event_type: String,
    created: u64,
    body: Bytes,
}

#[derive(Deserialize)]
struct Wire {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    created: u64,
}

impl FetchedEvent {
    pub(super) fn read(raw: &RawValue) -> Result<Self, serde_json::Error> {
        let Wire { id, event_type, created } = serde_json::from_str(raw.get())?;
        Ok(Self { id, event_type, created, body: Bytes::copy_from_slice(raw.get().as_bytes()) })
    }

    /// Its id, `evt_..`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its type.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// When it came about, in Unix seconds.
    #[must_use]
    pub fn created(&self) -> u64 {
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

/// Events, oldest first. From [`CasaPay::events`].
pub struct EventStream {
    inner: Pin<Box<dyn Stream<Item = Result<FetchedEvent, EndpointError>> + Send>>,
}

/// What is still to be read.
struct Pages {
    client: CasaPay,
    query: EventQuery,
    /// The next one last.
    windows: Vec<Window>,
    page: VecDeque<FetchedEvent>,
}

impl EventStream {
    pub(super) fn new(client: CasaPay, query: EventQuery) -> Self {
        let windows = match query.until {
            Some(until) if until < query.from => Vec::new(),
            until => vec![Window { from: query.from, until }],
        };
        let pages = Pages { client, query, windows, page: VecDeque::new() };
        Self { inner: Box::pin(try_unfold(pages, Pages::next)) }
    }
}

impl Pages {
    async fn next(mut self) -> Result<Option<(FetchedEvent, Self)>, EndpointError> {
        loop {
            if let Some(event) = self.page.pop_front() {
                return Ok(Some((event, self)));
            }
            let Some(window) = self.windows.pop() else { return Ok(None) };
            self.read(window).await?;
        }
    }

    async fn read(&mut self, window: Window) -> Result<(), EndpointError> {
        const OPERATION: &str = "list events";
        let http = &self.client.http;
        let mut call = Call::get(OPERATION, &["v1", "events"]);
        call.query = self.query.parameters(window);
        let answer = http.call(call).await?;
        let (items, has_more) = object_with_list(http, OPERATION, &answer)?;
        let events = items.iter().map(|item| FetchedEvent::read(item)).collect::<Result<Vec<_>, _>>();
        let mut events = events.map_err(|error| malformed(http, OPERATION, &answer, error))?;
        let limit = usize::try_from(self.query.limit()).unwrap_or(usize::MAX);
        if !events.iter().all(|event| window.contains(event.created)) {
            // Of an API that does not keep to the time no part could be known to be complete.
            return Err(malformed(
                http,
                OPERATION,
                &answer,
                "events from outside of the time that was asked for",
            ));
        }
        if has_more || events.len() >= limit {
            let created: Vec<_> = events.iter().map(FetchedEvent::created).collect();
            // Oldest first: everything before this second has been read.
            let too_many =
                || http.error(EndpointErrorKind::TooManyEvents, OPERATION).with_second(window.from);
            let parts = window.divide(&created).ok_or_else(too_many)?;
            self.windows.extend(parts.into_iter().rev());
            return Ok(());
        }
        events.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        self.page.extend(events);
        Ok(())
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
