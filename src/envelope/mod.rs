//! Step 3: what is it? Where a provider puts an event's id, type and payload, as data.

mod pointer;
mod scan;

use crate::error::ConfigError;

pub(crate) use self::scan::{EnvelopeError, Scanned};
use self::scan::{Kind, Layout, Slot};

/// Where a provider puts an event's id, type and payload within the JSON body.
///
/// Members are named by [RFC 6901](https://www.rfc-editor.org/rfc/rfc6901) pointers through objects; none goes
/// through an array. Id, type and payload must be present where they are configured; a member that is named here
/// and stands there twice makes the event unreadable, since two parsers could disagree about which one counts.
/// Everything else in the body is skipped without being stored.
///
/// ```
/// use tower_webhook::{Envelope, Provider, SignatureScheme, testing};
///
/// # fn main() -> Result<(), tower_webhook::BoxError> {
/// let acme = Provider::builder("acme")
///     .signature(SignatureScheme::hmac_sha256("x-acme-signature"))
///     .envelope(
///         Envelope::json("/event/id")
///             .with_event_type("/event/kind")
///             .with_payload("/event/data")
///             .with_created("/event/at"),
///     )
///     .build()?;
///
/// let body = r#"{"event":{"id":"e-1","kind":"order.paid","at":1700000000,"data":{"order":7}}}"#;
/// let delivery = testing::delivery(&acme, body)?;
/// assert_eq!((delivery.id(), delivery.event_type()), ("e-1", "order.paid"));
/// assert_eq!((delivery.created(), delivery.payload()), (Some(1_700_000_000), r#"{"order":7}"#));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Envelope {
    id: String,
    numeric_ids: bool,
    event_type: EventType,
    payload: Option<String>,
    created: Option<String>,
    livemode: Option<String>,
    api_version: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum EventType {
    Path(String),
    Constant(String),
}

impl Envelope {
    /// A JSON object with its event id at `id`. The type is expected at `/type`, and the payload is the whole
    /// body, unless said otherwise.
    pub fn json(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            numeric_ids: false,
            event_type: EventType::Path("/type".to_owned()),
            payload: None,
            created: None,
            livemode: None,
            api_version: None,
        }
    }

    /// Accepts ids that are non-negative JSON integers. By default only strings are: `1`, `1.0` and `1e0` are
    /// one number and three texts.
    pub fn with_numeric_ids(mut self) -> Self {
        self.numeric_ids = true;
        self
    }

    /// Where the event type is. Default: `/type`.
    pub fn with_event_type(mut self, path: impl Into<String>) -> Self {
        self.event_type = EventType::Path(path.into());
        self
    }

    /// The type of every event, for a sender that has only one.
    pub fn with_constant_event_type(mut self, event_type: impl Into<String>) -> Self {
        self.event_type = EventType::Constant(event_type.into());
        self
    }

    /// Where the payload is: what handlers receive. Default: the whole body.
    pub fn with_payload(mut self, path: impl Into<String>) -> Self {
        self.payload = Some(path.into());
        self
    }

    /// Where the time of the event is, in Unix seconds. It may be absent.
    pub fn with_created(mut self, path: impl Into<String>) -> Self {
        self.created = Some(path.into());
        self
    }

    /// Where the sender says whether this is a live event (`true`) or a test. It may be absent.
    pub fn with_livemode(mut self, path: impl Into<String>) -> Self {
        self.livemode = Some(path.into());
        self
    }

    /// Where the version of the payload's schema is. It may be absent.
    pub fn with_api_version(mut self, path: impl Into<String>) -> Self {
        self.api_version = Some(path.into());
        self
    }

    pub(crate) fn resolve(self) -> Result<ResolvedEnvelope, ConfigError> {
        let mut layout = Layout::default();
        layout.insert(&self.id, Slot::Id)?;
        let constant_type = match self.event_type {
            EventType::Path(path) => {
                layout.insert(&path, Slot::EventType)?;
                None
            }
            EventType::Constant(event_type) if event_type.is_empty() => {
                return Err(ConfigError::InvalidPath {
                    path: String::new(),
                    problem: "the constant event type is empty",
                });
            }
            EventType::Constant(event_type) => Some(event_type.into()),
        };
        let whole_body = self.payload.is_none();
        let (has_created, has_livemode) = (self.created.is_some(), self.livemode.is_some());
        let has_api_version = self.api_version.is_some();
        for (path, slot) in [
            (self.payload, Slot::Payload),
            (self.created, Slot::Created),
            (self.livemode, Slot::Livemode),
            (self.api_version, Slot::ApiVersion),
        ] {
            if let Some(path) = path {
                layout.insert(&path, slot)?;
            }
        }
        layout.check()?;
        let kind = Kind { constant_type, whole_body, numeric_ids: self.numeric_ids };
        Ok(ResolvedEnvelope { layout, kind, has_created, has_livemode, has_api_version })
    }
}

/// An envelope that has been checked.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedEnvelope {
    layout: Layout,
    kind: Kind,
    has_created: bool,
    has_livemode: bool,
    has_api_version: bool,
}

impl ResolvedEnvelope {
    /// Reads what is configured, in one pass over the body.
    pub(crate) fn scan(&self, body: &bytes::Bytes) -> Result<Scanned, EnvelopeError> {
        scan::scan(&self.layout, &self.kind, body)
    }

    pub(crate) fn has_created(&self) -> bool {
        self.has_created
    }

    pub(crate) fn has_livemode(&self) -> bool {
        self.has_livemode
    }

    pub(crate) fn has_api_version(&self) -> bool {
        self.has_api_version
    }
}
