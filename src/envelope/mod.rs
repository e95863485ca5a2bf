//! Step 3: what is it? Where a provider puts an event's id, type and payload, as data.

#[cfg(feature = "testing")]
pub(crate) mod compose;
mod scan;
mod unique;

use bytes::Bytes;
use bytestring::ByteString;
use http::HeaderMap;
use sha2::{Digest, Sha256};

pub(crate) use self::scan::{EnvelopeError, Scanned};
use self::scan::{Kind, Layout, Members, Slot};
use self::unique::unique_id;
use crate::error::ConfigError;
use crate::signature::{Authenticator, HeaderNames, Names};

/// What an id begins with that is a digest.
pub(crate) const DIGEST_PREFIX: &str = "sha256:";

/// Where a provider puts an event's id, type and payload.
///
/// The body is a JSON object, unless the envelope is [opaque](Self::opaque). Members are named by
/// [RFC 6901](https://www.rfc-editor.org/rfc/rfc6901) pointers, through objects, and through arrays by index. Id, type
/// and payload must be present where they are configured; a member that is named here and stands there twice makes the
/// event unreadable, since two parsers could disagree about which one counts. Everything else in the body is skipped
/// without being stored.
///
/// # What tells one event from another
///
/// The id decides whether an event ran before, so that it must be something the sender signed:
///
/// | where the provider has it | constructor |
/// |---|---|
/// | in the body | [`json`](Self::json) |
/// | in a header that is signed | [`identified_by_header`](Self::identified_by_header) |
/// | in a header that is not signed, or nowhere | [`identified_by_digest`](Self::identified_by_digest) |
/// | nowhere, and two events may be the same bytes | [`unidentified`](Self::unidentified) |
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
    id: Id,
    unsigned_id: Option<HeaderNames>,
    opaque: bool,
    numeric_ids: bool,
    event_type: EventType,
    payload: Option<String>,
    created: Option<String>,
    livemode: Option<String>,
    api_version: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Id {
    Path(String),
    Header(HeaderNames),
    Digest,
    Body,
    Nowhere,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum EventType {
    Path(String),
    Header(HeaderNames),
    Constant(String),
}

impl Envelope {
    fn new(id: Id) -> Self {
        Self {
            id,
            unsigned_id: None,
            opaque: false,
            numeric_ids: false,
            event_type: EventType::Path("/type".to_owned()),
            payload: None,
            created: None,
            livemode: None,
            api_version: None,
        }
    }

    /// A JSON object with its event id at `id`. The type is expected at `/type`, and the payload is the whole
    /// body, unless said otherwise.
    pub fn json(id: impl Into<String>) -> Self {
        Self::new(Id::Path(id.into()))
    }

    /// The event id is in a header that the signature covers. A header that it does not cover is refused when the
    /// provider is built: whoever captured a request could give it another id, and the event would run again.
    pub fn identified_by_header(names: impl Into<HeaderNames>) -> Self {
        Self::new(Id::Header(names.into()))
    }

    /// The event is told from others by the SHA-256 of all that is signed, written `sha256:` and hexadecimal digits.
    /// For senders without an id, or with one that is not signed.
    ///
    /// A retry is recognised if it is signed over the same bytes; where the sender signs each attempt anew with a new
    /// timestamp, take [`identified_by_body`](Self::identified_by_body). **Two events that are the same bytes count as
    /// one**, and the second is lost: where bodies may repeat (a flag that is set, taken back and set again) and no
    /// timestamp is signed, take [`unidentified`](Self::unidentified).
    ///
    /// ```
    /// use tower_webhook::{Envelope, Provider, SignatureScheme, testing};
    ///
    /// # fn main() -> Result<(), tower_webhook::BoxError> {
    /// let acme = Provider::builder("acme")
    ///     .signature(SignatureScheme::hmac_sha256("x-acme-signature"))
    ///     .envelope(Envelope::identified_by_digest().with_event_type("/event"))
    ///     .build()?;
    /// let delivery = testing::delivery(&acme, r#"{"event":"charge.success"}"#)?;
    /// assert!(delivery.id().starts_with("sha256:"));
    /// assert_ne!(delivery.id(), testing::delivery(&acme, r#"{"event":"charge.success","n":2}"#)?.id());
    /// # Ok(())
    /// # }
    /// ```
    pub fn identified_by_digest() -> Self {
        Self::new(Id::Digest)
    }

    /// As [`identified_by_digest`](Self::identified_by_digest), of the body alone: for a sender whose every event has
    /// a body of its own, and whose retries bring a new timestamp.
    ///
    /// Two events that are the same bytes count as one.
    pub fn identified_by_body() -> Self {
        Self::new(Id::Body)
    }

    /// Nothing tells events apart: every delivery is an event of its own, a retry too, and a replayed request runs
    /// again. The store is not asked, for there is nothing to remember. For senders of mere hints ("something changed") whose bodies repeat, where a digest would take the
    /// second change for a retry of the first. Handlers must be idempotent.
    pub fn unidentified() -> Self {
        Self::new(Id::Nowhere)
    }

    /// Names the header in which the sender has an id that it does not sign. It is information, in
    /// [`Delivery::headers`](crate::Delivery::headers), unless
    /// [`Provider::identify_by_unsigned_header`](crate::Provider::identify_by_unsigned_header) says otherwise. For an
    /// envelope without a signed id: beside one it is refused when the provider is built.
    pub fn with_unsigned_id_header(mut self, names: impl Into<HeaderNames>) -> Self {
        self.unsigned_id = Some(names.into());
        self
    }

    /// Does not read the body: it may be anything, such as form fields, or several events in one array. The payload is
    /// the whole body, where it is text. Every event has the type `event_type`.
    pub fn opaque(mut self, event_type: impl Into<String>) -> Self {
        self.opaque = true;
        self.event_type = EventType::Constant(event_type.into());
        self
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

    /// The event type is in a header. Where that is not signed,
    /// [`Delivery::event_type_is_signed`](crate::Delivery::event_type_is_signed) says so: whoever captured a request
    /// could send it as another type, to another handler.
    pub fn with_event_type_header(mut self, names: impl Into<HeaderNames>) -> Self {
        self.event_type = EventType::Header(names.into());
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

    pub(crate) fn resolve(self, authenticator: &Authenticator) -> Result<ResolvedEnvelope, ConfigError> {
        let mut layout = Layout::default();
        let id = match self.id {
            Id::Path(path) => {
                layout.insert(&path, Slot::Id)?;
                Identity::Path(path)
            }
            Id::Header(names) => {
                let names = names.resolve()?;
                if !authenticator.signs_header(&names) {
                    return Err(ConfigError::UnsignedId { header: names.first().to_string() });
                }
                Identity::Header(names)
            }
            Id::Digest => Identity::Digest,
            Id::Body => Identity::Body,
            Id::Nowhere => Identity::Nowhere,
        };
        if self.unsigned_id.is_some() && matches!(id, Identity::Path(_) | Identity::Header(_)) {
            let problem = "the envelope has a signed id, and an unsigned one beside it";
            return Err(ConfigError::InvalidPath { path: "id".to_owned(), problem });
        }
        let event_type = match self.event_type {
            EventType::Path(path) => {
                layout.insert(&path, Slot::EventType)?;
                TypeSource::Path(path)
            }
            EventType::Header(names) => TypeSource::Header(names.resolve()?),
            EventType::Constant(event_type) if event_type.is_empty() => {
                return Err(ConfigError::InvalidPath {
                    path: String::new(),
                    problem: "the constant event type is empty",
                });
            }
            EventType::Constant(event_type) => TypeSource::Constant(event_type.into()),
        };
        let type_is_signed = match &event_type {
            TypeSource::Path(_) => authenticator.covers_body(),
            TypeSource::Header(names) => authenticator.signs_header(names),
            TypeSource::Constant(_) => true,
        };
        for (path, slot) in [
            (&self.payload, Slot::Payload),
            (&self.created, Slot::Created),
            (&self.livemode, Slot::Livemode),
            (&self.api_version, Slot::ApiVersion),
        ] {
            if let Some(path) = path {
                layout.insert(path, slot)?;
            }
        }
        layout.check()?;
        if self.opaque && !layout.is_empty() {
            let problem = "an opaque body is not read, and a setting names a member of it";
            return Err(ConfigError::InvalidPath { path: String::new(), problem });
        }
        Ok(ResolvedEnvelope {
            id,
            unsigned_id: self.unsigned_id.map(HeaderNames::resolve).transpose()?,
            trusts_unsigned_id: false,
            event_type,
            type_is_signed,
            opaque: self.opaque,
            layout,
            kind: Kind { whole_body: self.payload.is_none(), numeric_ids: self.numeric_ids },
            #[cfg(feature = "testing")]
            payload_path: self.payload,
            created_path: self.created,
            has_livemode: self.livemode.is_some(),
            has_api_version: self.api_version.is_some(),
        })
    }
}

/// What tells one event from another.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    Path(String),
    /// A signed header.
    Header(Names),
    /// The digest of what is signed.
    Digest,
    /// The digest of the body.
    Body,
    Nowhere,
}

#[derive(Clone, Debug)]
pub(crate) enum TypeSource {
    Path(String),
    Header(Names),
    Constant(ByteString),
}

/// An envelope that has been checked.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedEnvelope {
    id: Identity,
    /// A header with an id that is not signed, and whether it is the identity all the same.
    unsigned_id: Option<Names>,
    trusts_unsigned_id: bool,
    event_type: TypeSource,
    type_is_signed: bool,
    opaque: bool,
    layout: Layout,
    kind: Kind,
    #[cfg(feature = "testing")]
    payload_path: Option<String>,
    created_path: Option<String>,
    has_livemode: bool,
    has_api_version: bool,
}

impl ResolvedEnvelope {
    /// Reads what is configured, in one pass over the body. `signed` is the digest of all that was signed, computed
    /// where it is the identity.
    pub(crate) fn scan(
        &self,
        body: &Bytes,
        headers: &HeaderMap,
        signed: impl FnOnce() -> [u8; 32],
    ) -> Result<Scanned, EnvelopeError> {
        let members = if self.opaque {
            // What is not text has no payload, and its bytes are the delivery's body.
            let text = ByteString::try_from(body.clone()).unwrap_or_default();
            Members { payload: Some(text), ..Members::default() }
        } else {
            scan::scan(&self.layout, &self.kind, body)?
        };
        let trusted = match &self.unsigned_id {
            Some(names) if self.trusts_unsigned_id => text_of(names, headers)?,
            _ => None,
        };
        let identified = trusted.is_some() || !matches!(self.id, Identity::Nowhere);
        let id = match &self.id {
            _ if trusted.is_some() => trusted,
            Identity::Path(_) => members.id,
            Identity::Header(names) => text_of(names, headers)?,
            Identity::Digest => Some(digest_id(signed())),
            Identity::Body => Some(digest_id(Sha256::digest(body).into())),
            Identity::Nowhere => Some(unique_id().into()),
        };
        let event_type = match &self.event_type {
            TypeSource::Path(_) => members.event_type,
            TypeSource::Header(names) => text_of(names, headers)?,
            TypeSource::Constant(event_type) => Some(event_type.clone()),
        };
        let (id, event_type) = (required(id, "id")?, required(event_type, "type")?);
        let payload = if self.opaque {
            members.payload.unwrap_or_default()
        } else {
            required(members.payload, "payload")?
        };
        Ok(Scanned {
            id,
            identified,
            event_type,
            type_is_signed: self.type_is_signed,
            payload,
            payload_is_json: !self.opaque,
            created: members.created,
            livemode: members.livemode,
            api_version: members.api_version,
        })
    }

    /// Takes the unsigned header for the identity.
    pub(crate) fn trust_unsigned_id(&mut self) -> Result<(), ConfigError> {
        match &self.unsigned_id {
            Some(_) => {
                self.trusts_unsigned_id = true;
                Ok(())
            }
            None => Err(ConfigError::InvalidPath {
                path: "id".to_owned(),
                problem: "the provider's envelope has no id in an unsigned header",
            }),
        }
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.id
    }

    /// The header with an id that is not signed.
    pub(crate) fn unsigned_id(&self) -> Option<&Names> {
        self.unsigned_id.as_ref()
    }

    /// Whether that header is the identity all the same.
    pub(crate) fn trusts_unsigned_id(&self) -> bool {
        self.trusts_unsigned_id
    }

    pub(crate) fn type_source(&self) -> &TypeSource {
        &self.event_type
    }

    pub(crate) fn type_is_signed(&self) -> bool {
        self.type_is_signed
    }

    #[cfg(feature = "testing")]
    fn payload_path(&self) -> Option<&str> {
        self.payload_path.as_deref()
    }

    #[cfg(feature = "testing")]
    fn created_path(&self) -> Option<&str> {
        self.created_path.as_deref()
    }

    #[cfg(feature = "testing")]
    fn has_numeric_ids(&self) -> bool {
        self.kind.numeric_ids
    }

    pub(crate) fn has_created(&self) -> bool {
        self.created_path.is_some()
    }

    pub(crate) fn has_livemode(&self) -> bool {
        self.has_livemode
    }

    pub(crate) fn has_api_version(&self) -> bool {
        self.has_api_version
    }
}

fn digest_id(digest: [u8; 32]) -> ByteString {
    format!("{DIGEST_PREFIX}{}", const_hex::encode(digest)).into()
}

/// A header as text; `None` where it is not there.
fn text_of(names: &Names, headers: &HeaderMap) -> Result<Option<ByteString>, EnvelopeError> {
    let value = names.find(headers).map_err(|_| EnvelopeError::Header(names.first().clone()))?;
    let text = value.map(std::str::from_utf8).transpose();
    Ok(text.map_err(|_| EnvelopeError::Header(names.first().clone()))?.map(ByteString::from))
}

fn required(text: Option<ByteString>, what: &'static str) -> Result<ByteString, EnvelopeError> {
    match text {
        None => Err(EnvelopeError::Missing(what)),
        Some(text) if text.is_empty() => Err(EnvelopeError::Empty(what)),
        Some(text) => Ok(text),
    }
}
