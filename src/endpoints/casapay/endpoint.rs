//! CasaPay's endpoint object, and what it is made and changed with.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::{Value, json};

use super::object;
use crate::endpoints::check::{checked, some_events};
use crate::endpoints::error::EndpointError;
use crate::endpoints::http::Http;

/// A webhook endpoint of CasaPay.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CasaPayEndpoint {
    /// Its id, `we_..`.
    pub id: String,
    /// Where events are delivered.
    pub url: String,
    /// The types that are delivered.
    pub enabled_events: Vec<String>,
    /// Whether anything is.
    pub status: EndpointStatus,
    /// The version that events are written in.
    pub api_version: Option<String>,
    /// What its owner calls it.
    pub description: Option<String>,
    /// What its owner stored with it. Values that are no text are in it as JSON.
    pub metadata: BTreeMap<String, String>,
    /// When it was created, in Unix seconds.
    pub created: Option<u64>,
}

/// Whether events are delivered to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndpointStatus {
    /// `enabled`.
    Enabled,
    /// `disabled`.
    Disabled,
    /// A status that the documentation does not name.
    Other(String),
}

impl EndpointStatus {
    /// As the API writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Other(text) => text,
        }
    }
}

impl fmt::Display for EndpointStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<String> for EndpointStatus {
    fn from(text: String) -> Self {
        match &*text {
            "enabled" => Self::Enabled,
            "disabled" => Self::Disabled,
            _ => Self::Other(text),
        }
    }
}

/// The object as it is sent.
#[derive(Deserialize)]
struct Wire {
    id: String,
    url: String,
    enabled_events: Vec<String>,
    status: String,
    api_version: Option<String>,
    description: Option<String>,
    metadata: Option<BTreeMap<String, Value>>,
    created: Option<u64>,
}

impl CasaPayEndpoint {
    /// Without the secret, which is in no answer but that to a creation.
    pub(super) fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        let wire: Wire = serde_json::from_slice(json)?;
        let text = |value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(Self {
            id: wire.id,
            url: wire.url,
            enabled_events: wire.enabled_events,
            status: wire.status.into(),
            api_version: wire.api_version,
            description: wire.description,
            metadata: wire
                .metadata
                .unwrap_or_default()
                .into_iter()
                .map(|(key, value)| (key, text(value)))
                .collect(),
            created: wire.created,
        })
    }

    /// What was asked for, under this id.
    pub(super) fn as_asked(id: String, new: &NewEndpoint) -> Self {
        let NewEndpoint { url, enabled_events, description, api_version, metadata } = new.clone();
        let (status, created) = (EndpointStatus::Enabled, None);
        Self { id, url, enabled_events, status, api_version, description, metadata, created }
    }
}

/// What an endpoint is created with.
///
/// ```
/// use tower_webhook::endpoints::NewEndpoint;
///
/// let new = NewEndpoint::new("https://shop.example/webhooks", ["invoice.paid", "charge.refunded"])
///     .with_description("shop")
///     .with_metadata("team", "payments");
/// # let _ = new;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct NewEndpoint {
    url: String,
    enabled_events: Vec<String>,
    description: Option<String>,
    api_version: Option<String>,
    metadata: BTreeMap<String, String>,
}

impl NewEndpoint {
    /// An endpoint at `url`, https, for events of these types, of which there is at least one.
    pub fn new<T: Into<String>>(url: impl Into<String>, enabled_events: impl IntoIterator<Item = T>) -> Self {
        Self {
            url: url.into(),
            enabled_events: enabled_events.into_iter().map(Into::into).collect(),
            description: None,
            api_version: None,
            metadata: BTreeMap::new(),
        }
    }

    /// What to call it. Default: nothing.
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// The version that its events are written in, such as `2025-01-15`. Default: the account's.
    pub fn with_api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = Some(version.into());
        self
    }

    /// Stores a text with it. Can be called several times.
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    pub(super) fn body(&self, http: &Http, operation: &'static str) -> Result<Vec<u8>, EndpointError> {
        checked(http.provider(), &self.url, http.options().allows_loopback())
            .map_err(|error| error.during(operation))?;
        some_events(http, operation, &self.enabled_events)?;
        Ok(object([
            ("url", Some(json!(self.url))),
            ("enabled_events", Some(json!(self.enabled_events))),
            ("description", self.description.as_ref().map(|text| json!(text))),
            ("api_version", self.api_version.as_ref().map(|text| json!(text))),
            ("metadata", (!self.metadata.is_empty()).then(|| json!(self.metadata))),
        ]))
    }
}

/// What is to be changed of an endpoint.
///
/// ```
/// use tower_webhook::endpoints::{EndpointStatus, EndpointUpdate};
///
/// let pause = EndpointUpdate::new().with_status(EndpointStatus::Disabled);
/// # let _ = pause;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct EndpointUpdate {
    url: Option<String>,
    enabled_events: Option<Vec<String>>,
    status: Option<EndpointStatus>,
    description: Option<String>,
}

impl EndpointUpdate {
    /// Nothing, so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Delivers to another URL, https.
    pub fn with_url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Delivers these types and no others.
    pub fn with_enabled_events<T: Into<String>>(mut self, events: impl IntoIterator<Item = T>) -> Self {
        self.enabled_events = Some(events.into_iter().map(Into::into).collect());
        self
    }

    /// Pauses it, or goes on.
    pub fn with_status(mut self, status: EndpointStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Calls it something else.
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    pub(super) fn body(&self, http: &Http, operation: &'static str) -> Result<Vec<u8>, EndpointError> {
        if let Some(url) = &self.url {
            checked(http.provider(), url, http.options().allows_loopback())
                .map_err(|error| error.during(operation))?;
        }
        if let Some(events) = &self.enabled_events {
            some_events(http, operation, events)?;
        }
        Ok(object([
            ("url", self.url.as_ref().map(|text| json!(text))),
            ("enabled_events", self.enabled_events.as_ref().map(|events| json!(events))),
            ("status", self.status.as_ref().map(|status| json!(status.as_str()))),
            ("description", self.description.as_ref().map(|text| json!(text))),
        ]))
    }
}
