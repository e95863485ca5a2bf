//! A verified delivery: what handlers, hooks and queues are given.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use bytestring::ByteString;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::dispatch::HandlerError;
use crate::envelope::{DIGEST_PREFIX, Scanned};

/// One verified delivery of an event: its identity, its raw body, and what the envelope says.
///
/// Cheap to clone. Handlers take it as an argument; behind the layer it is in the request's extensions. It
/// serialises, raw body included, so that it can be queued and processed elsewhere with
/// [`Processor::process`](crate::Processor::process); headers that are marked sensitive (the signature among
/// them), credentials, and headers that are not UTF-8 are left out. The format is for JSON and its like, which name
/// their fields.
///
/// Its `Debug` output shows the identity, never the body or a header.
///
/// ```
/// use tower_webhook::{Delivery, caspay, testing};
///
/// # fn main() -> Result<(), tower_webhook::BoxError> {
/// let body = r#"{"id":"evt_1","type":"subscription.created","created":1640000000,"data":{"plan":"monthly"}}"#;
/// let delivery = testing::delivery(&caspay::provider(), body)?;
/// assert_eq!((delivery.id(), delivery.event_type()), ("evt_1", "subscription.created"));
/// assert_eq!(delivery.payload(), r#"{"plan":"monthly"}"#);
/// assert_eq!(delivery.payload_as::<serde_json::Value>()?["plan"], "monthly");
///
/// // Into a queue of yours, and out of it again.
/// let queued = serde_json::to_string(&delivery)?;
/// let again: Delivery = serde_json::from_str(&queued)?;
/// assert_eq!((again.id(), again.body()), (delivery.id(), delivery.body()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Delivery {
    inner: Arc<Inner>,
    /// What middleware of the dispatch gives to handlers. Of this clone alone.
    extensions: Extensions,
}

struct Inner {
    provider: Arc<str>,
    scope: Arc<str>,
    tenant: Option<Arc<str>>,
    secret_label: Option<Arc<str>>,
    received_at: SystemTime,
    signed_at: Option<u64>,
    fetched: bool,
    event: Scanned,
    body: Bytes,
    headers: HeaderMap,
    /// Whether a handler has begun: what decides if a claim can be given back after the dispatch failed.
    started: AtomicBool,
    /// Whether the work outlived its request: then nobody but the log learns how it ended.
    moved: AtomicBool,
}

/// What surrounds an event in a delivery.
pub(crate) struct Circumstances {
    pub(crate) provider: Arc<str>,
    pub(crate) scope: Arc<str>,
    pub(crate) tenant: Option<Arc<str>>,
    pub(crate) secret_label: Option<Arc<str>>,
    pub(crate) received_at: SystemTime,
    pub(crate) signed_at: Option<u64>,
    /// Whether it was asked for, and not sent.
    pub(crate) fetched: bool,
    pub(crate) headers: HeaderMap,
}

/// Credentials that a sender or a proxy may have put beside the signature. They are of no use later.
const CREDENTIALS: [HeaderName; 3] = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE];

impl Delivery {
    pub(crate) fn new(circumstances: Circumstances, event: Scanned, body: Bytes) -> Self {
        let Circumstances { provider, scope, tenant, secret_label, received_at, signed_at, fetched, headers } =
            circumstances;
        let (started, moved) = (AtomicBool::new(false), AtomicBool::new(false));
        let inner = Inner {
            provider,
            scope,
            tenant,
            secret_label,
            received_at,
            signed_at,
            fetched,
            event,
            body,
            headers,
            started,
            moved,
        };
        Self { inner: Arc::new(inner), extensions: Extensions::new() }
    }

    /// A delivery whose envelope cannot be read. Its id is the digest of the body, so that a dead-letter hook
    /// can tell a repetition; its type and payload are empty.
    pub(crate) fn unreadable(circumstances: Circumstances, body: Bytes) -> Self {
        let event = Scanned {
            id: format!("{DIGEST_PREFIX}{}", const_hex::encode(Sha256::digest(&body))).into(),
            identified: true,
            event_type: ByteString::new(),
            type_is_signed: false,
            payload: ByteString::new(),
            payload_is_json: false,
            created: None,
            livemode: None,
            api_version: None,
        };
        Self::new(circumstances, event, body)
    }

    /// The event's id, as the sender wrote it: untrusted text of any length.
    ///
    /// Of an event whose envelope could not be read (a dead-letter hook sees those) it is `sha256:` and the
    /// digest of the body; of one whose provider has no id that is signed, `sha256:` and the digest of what is.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.event.id
    }

    /// The event's type, as the sender wrote it.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.inner.event.event_type
    }

    /// Whether the signature covers the type. Where it does not (GitHub and Shopify have it in a header that they do
    /// not sign), whoever captured a request can send it as another type, **and it then runs again**: the type is part
    /// of what tells events apart, since such senders do send one body as two types. Do not let the type alone decide
    /// what a body means.
    #[must_use]
    pub fn event_type_is_signed(&self) -> bool {
        self.inner.event.type_is_signed
    }

    /// The provider's name.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.inner.provider
    }

    /// The scope of deduplication: the provider, `/` and the endpoint's name where one was given, and `@` and the tenant
    /// where there are tenants.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.inner.scope
    }

    /// The tenant whose secret verified the delivery, where the layer is one [for
    /// tenants](crate::WebhookLayer::for_tenants).
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.inner.tenant.as_deref()
    }

    /// The label of the secret that verified the delivery. A rotation is finished when the old label no longer
    /// appears. `None` where no signature was checked, as in a test.
    #[must_use]
    pub fn secret_label(&self) -> Option<&str> {
        self.inner.secret_label.as_deref()
    }

    /// Whether the event was fetched from the provider's API ([`Processor::fetched`](crate::Processor::fetched)), and not
    /// delivered: then it is the API's word over TLS, and nothing was signed.
    #[must_use]
    pub fn is_fetched(&self) -> bool {
        self.inner.fetched
    }

    /// When the event came about, in Unix seconds, where the envelope says so.
    #[must_use]
    pub fn created(&self) -> Option<u64> {
        self.inner.event.created
    }

    /// Whether this is a live event (`true`) or a test, where the envelope says so.
    #[must_use]
    pub fn livemode(&self) -> Option<bool> {
        self.inner.event.livemode
    }

    /// The version of the payload's schema, where the envelope says so.
    #[must_use]
    pub fn api_version(&self) -> Option<&str> {
        self.inner.event.api_version.as_deref()
    }

    /// When the delivery arrived, by this machine's clock.
    #[must_use]
    pub fn received_at(&self) -> SystemTime {
        self.inner.received_at
    }

    /// The timestamp that was signed with the body, in Unix seconds, where the scheme signs one.
    #[must_use]
    pub fn signed_at(&self) -> Option<u64> {
        self.inner.signed_at
    }

    /// The exact bytes that were signed as body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.inner.body
    }

    /// The payload as raw JSON: the part of the body that the provider's envelope names. Of an
    /// [opaque](crate::Envelope::opaque) body it is the whole, whatever that is, and empty where it is not UTF-8.
    #[must_use]
    pub fn payload(&self) -> &str {
        &self.inner.event.payload
    }

    /// The payload as `T`.
    ///
    /// # Errors
    ///
    /// A [`HandlerError`] of the kind *unreadable*, where the payload does not fit. Returned from a handler it
    /// dead-letters the event.
    pub fn payload_as<T: DeserializeOwned>(&self) -> Result<T, HandlerError> {
        serde_json::from_str(self.payload()).map_err(HandlerError::unreadable_json)
    }

    /// The request's headers. Only the signature header's content is authentic.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.inner.headers
    }

    /// What middleware of the dispatch has put beside the delivery, for a [`FromDelivery`](crate::FromDelivery) of
    /// yours to take out. Not serialised.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Where a middleware of the dispatch puts what handlers shall get from it. It reaches this clone and the clones
    /// made of it, no others.
    ///
    /// ```
    /// use tower_webhook::{caspay, testing};
    ///
    /// let body = r#"{"id":"evt_1","type":"payment.completed","data":{}}"#;
    /// let mut delivery = testing::delivery(&caspay::provider(), body).unwrap();
    /// delivery.extensions_mut().insert("a connection");
    /// assert_eq!(delivery.clone().extensions().get(), Some(&"a connection"));
    /// ```
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// Whether its id tells it from others.
    pub(crate) fn is_identified(&self) -> bool {
        self.inner.event.identified
    }

    /// Whether its envelope could be read.
    pub(crate) fn is_readable(&self) -> bool {
        !self.event_type().is_empty()
    }

    /// A new attempt: what an earlier one with this delivery began is over.
    pub(crate) fn mark_waiting(&self) {
        self.inner.started.store(false, Ordering::Release);
    }

    pub(crate) fn mark_moved(&self) {
        self.inner.moved.store(true, Ordering::Release);
    }

    pub(crate) fn take_moved(&self) -> bool {
        self.inner.moved.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn mark_started(&self) {
        self.inner.started.store(true, Ordering::Release);
    }

    pub(crate) fn has_started(&self) -> bool {
        self.inner.started.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("scope", &self.inner.scope)
            .field("event_type", &self.inner.event.event_type)
            .field("id", &self.inner.event.id)
            .finish_non_exhaustive()
    }
}

/// The first format. A reader refuses what it does not know.
const FORMAT: u8 = 1;

/// A delivery as it is written into queues. Field names are part of the format.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    format: u8,
    provider: String,
    scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    secret_label: Option<String>,
    received_at_ms: u64,
    signed_at: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    fetched: bool,
    created: Option<u64>,
    livemode: Option<bool>,
    api_version: Option<String>,
    #[serde(default = "yes")]
    identified: bool,
    #[serde(default = "yes")]
    type_is_signed: bool,
    /// Where in the body the payload begins and ends, in bytes.
    payload: (usize, usize),
    #[serde(default = "yes")]
    payload_is_json: bool,
    headers: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<std::borrow::Cow<'a, str>>,
    /// A body that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// What most deliveries are.
fn yes() -> bool {
    true
}

impl Serialize for Delivery {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Inner { event, body, headers, .. } = &*self.inner;
        let text = std::str::from_utf8(body).ok();
        // The payload is a part of the body, or empty.
        let begin = (event.payload.as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
        let payload = if event.payload.is_empty() { (0, 0) } else { (begin, begin + event.payload.len()) };
        let received = self.inner.received_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let stored = Stored {
            format: FORMAT,
            provider: self.provider().to_owned(),
            scope: self.scope().to_owned(),
            tenant: self.tenant().map(str::to_owned),
            id: self.id().to_owned(),
            event_type: self.event_type().to_owned(),
            secret_label: self.secret_label().map(str::to_owned),
            received_at_ms: u64::try_from(received.as_millis()).unwrap_or(u64::MAX),
            signed_at: self.inner.signed_at,
            fetched: self.inner.fetched,
            created: event.created,
            livemode: event.livemode,
            api_version: self.api_version().map(str::to_owned),
            identified: event.identified,
            type_is_signed: event.type_is_signed,
            payload,
            payload_is_json: event.payload_is_json,
            headers: headers
                .iter()
                .filter(|(name, value)| !value.is_sensitive() && !CREDENTIALS.contains(name))
                .filter_map(|(name, value)| {
                    let value = std::str::from_utf8(value.as_bytes()).ok()?;
                    Some((name.as_str().to_owned(), value.to_owned()))
                })
                .collect(),
            body: text.map(Into::into),
            body_base64: text.is_none().then(|| STANDARD.encode(body)),
        };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Delivery {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;

        let stored = Stored::deserialize(deserializer)?;
        if stored.format != FORMAT {
            return Err(D::Error::custom("unknown format of a stored delivery"));
        }
        let body = match (stored.body, stored.body_base64) {
            (Some(text), None) => Bytes::from(text.into_owned()),
            (None, Some(base64)) => STANDARD.decode(base64).map_err(D::Error::custom)?.into(),
            _ => return Err(D::Error::custom("a stored delivery has one body")),
        };
        let (begin, end) = stored.payload;
        if begin > end || end > body.len() {
            return Err(D::Error::custom("the payload of a stored delivery is not within its body"));
        }
        let payload = ByteString::try_from(body.slice(begin..end))
            .map_err(|_| D::Error::custom("the payload of a stored delivery is not UTF-8"))?;
        let mut headers = HeaderMap::new();
        for (name, value) in stored.headers {
            let name = HeaderName::try_from(name).map_err(D::Error::custom)?;
            let value = HeaderValue::try_from(value).map_err(D::Error::custom)?;
            headers.try_append(name, value).map_err(D::Error::custom)?;
        }
        let unreadable =
            stored.id.starts_with(DIGEST_PREFIX) && stored.event_type.is_empty() && payload.is_empty();
        if !unreadable && (stored.id.is_empty() || stored.event_type.is_empty()) {
            return Err(D::Error::custom("a stored delivery has an id and a type"));
        }
        let json = stored.payload_is_json && !unreadable;
        if json && serde_json::from_str::<&serde_json::value::RawValue>(&payload).is_err() {
            return Err(D::Error::custom("the payload of a stored delivery is no JSON value"));
        }
        let event = Scanned {
            id: stored.id.into(),
            identified: stored.identified,
            event_type: stored.event_type.into(),
            type_is_signed: stored.type_is_signed,
            payload,
            payload_is_json: stored.payload_is_json,
            created: stored.created,
            livemode: stored.livemode,
            api_version: stored.api_version.map(Into::into),
        };
        let circumstances = Circumstances {
            provider: stored.provider.into(),
            scope: stored.scope.into(),
            tenant: stored.tenant.map(Into::into),
            secret_label: stored.secret_label.map(Into::into),
            received_at: SystemTime::UNIX_EPOCH
                .checked_add(Duration::from_millis(stored.received_at_ms))
                .ok_or_else(|| D::Error::custom("the time of a stored delivery is out of range"))?,
            signed_at: stored.signed_at,
            fetched: stored.fetched,
            headers,
        };
        Ok(Self::new(circumstances, event, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::Authenticator;

    fn circumstances() -> Circumstances {
        let mut headers = HeaderMap::new();
        headers.insert("x-attempt", HeaderValue::from_static("2"));
        let mut signature = HeaderValue::from_static("deadbeef");
        signature.set_sensitive(true);
        headers.insert("x-signature", signature);
        headers.insert("authorization", HeaderValue::from_static("Bearer hunter2"));
        headers.insert("cookie", HeaderValue::from_static("session=hunter2"));
        headers.insert("x-binary", HeaderValue::from_bytes(b"\xff").unwrap());
        Circumstances {
            provider: "acme".into(),
            scope: "acme/eu".into(),
            tenant: None,
            secret_label: Some("current".into()),
            received_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            signed_at: Some(1_700_000_000),
            fetched: false,
            headers,
        }
    }

    fn delivery(body: &'static str) -> Delivery {
        let body = Bytes::from_static(body.as_bytes());
        let scheme = crate::SignatureScheme::hmac_sha256("x-signature").resolve().unwrap();
        let envelope = crate::Envelope::json("/id").with_payload("/data");
        let envelope = envelope.resolve(&Authenticator::Data(Box::new(scheme))).unwrap();
        let event = envelope.scan(&body, &HeaderMap::new(), || [0; 32]).unwrap();
        Delivery::new(circumstances(), event, body)
    }

    #[test]
    fn survives_a_queue() {
        let before = delivery(r#"{"id":"evt_1","type":"t","data":{"amount": 100000000000}}"#);
        let json = serde_json::to_string(&before).unwrap();
        assert!(!json.contains("deadbeef") && !json.contains("hunter2"), "{json}");
        let after: Delivery = serde_json::from_str(&json).unwrap();
        assert_eq!((after.id(), after.event_type(), after.scope()), ("evt_1", "t", "acme/eu"));
        assert_eq!(after.payload(), r#"{"amount": 100000000000}"#);
        assert_eq!(after.body(), before.body());
        assert_eq!((after.received_at(), after.signed_at()), (before.received_at(), Some(1_700_000_000)));
        assert_eq!(after.secret_label(), Some("current"));
        assert_eq!(after.headers().len(), 1);
        assert_eq!(after.headers()["x-attempt"], "2");
    }

    #[test]
    fn the_tenant_survives_and_old_ones_have_none() {
        let (tenant, scope) = (Some("Shop_1".into()), "acme/eu@Shop_1".into());
        let of_tenant = Circumstances { tenant, scope, ..circumstances() };
        let before = Delivery::unreadable(of_tenant, Bytes::from_static(b"body"));
        let after: Delivery = serde_json::from_str(&serde_json::to_string(&before).unwrap()).unwrap();
        assert_eq!((after.tenant(), after.scope()), (Some("Shop_1"), "acme/eu@Shop_1"));
        let old = serde_json::to_string(&delivery(r#"{"id":"evt_1","type":"t","data":1}"#)).unwrap();
        assert!(!old.contains("tenant"), "{old}");
        assert_eq!(serde_json::from_str::<Delivery>(&old).unwrap().tenant(), None);
    }

    #[test]
    fn an_unreadable_one_survives_too() {
        let before = Delivery::unreadable(circumstances(), Bytes::from_static(b"\xff\x00"));
        assert!(before.id().starts_with("sha256:"), "{}", before.id());
        let after: Delivery = serde_json::from_str(&serde_json::to_string(&before).unwrap()).unwrap();
        assert_eq!((after.id(), after.payload()), (before.id(), ""));
        assert_eq!(after.body(), before.body());
    }

    #[test]
    fn a_damaged_one_is_an_error() {
        let good = serde_json::to_value(delivery(r#"{"id":"é","type":"t","data":1}"#)).unwrap();
        for (field, value) in [
            ("format", serde_json::json!(2)),
            ("payload", serde_json::json!([2, 1])),
            ("payload", serde_json::json!([0, 999])),
            ("payload", serde_json::json!([8, 9])),
            ("payload", serde_json::json!([1, 4])),
            ("payload", serde_json::json!([0, 0])),
            ("id", serde_json::json!("")),
            ("type", serde_json::json!("")),
            ("headers", (0..40_000).map(|n| serde_json::json!([format!("x-{n}"), ""])).collect()),
            ("body_base64", serde_json::json!("AA==")),
            ("body", serde_json::Value::Null),
            ("headers", serde_json::json!([["a b", "c"]])),
            ("headers", serde_json::json!([["a", "\n"]])),
            ("received_at_ms", serde_json::json!(u64::MAX)),
        ] {
            let mut bad = good.clone();
            bad[field] = value.clone();
            // A far future is representable on some platforms and refused on the others; neither panics.
            let result = serde_json::from_value::<Delivery>(bad);
            assert!(result.is_err() || field == "received_at_ms", "{field} = {value}");
        }
    }

    #[test]
    fn debug_shows_the_identity_alone() {
        let debug = format!("{:#?}", delivery(r#"{"id":"evt_1","type":"t","data":"private"}"#));
        assert!(debug.contains("evt_1"));
        for hidden in ["private", "deadbeef", "x-attempt"] {
            assert!(!debug.contains(hidden), "{debug}");
        }
    }
}
