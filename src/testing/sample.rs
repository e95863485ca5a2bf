//! Events as a provider would write them.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use crate::clock::unix_seconds;
use crate::envelope::compose::{Ingredients, put};
use crate::error::BoxError;
use crate::provider::Provider;
use crate::signature::Authenticator;

/// An event in a provider's envelope: the body with id, type, payload and time where the provider has them, and the
/// headers that carry what is not in the body. Of anything else that the provider sends there is nothing.
///
/// ```
/// use tower_webhook::testing::{self, SampleEvent};
/// use tower_webhook::{Envelope, Provider, SignatureScheme};
///
/// # fn main() -> Result<(), tower_webhook::BoxError> {
/// let acme = Provider::builder("acme")
///     .signature(SignatureScheme::hmac_sha256("x-acme-signature"))
///     .envelope(Envelope::json("/event/id").with_event_type_header("x-acme-event").with_payload("/data"))
///     .build()?;
///
/// let sample = SampleEvent::new(&acme, "evt_1", "order.paid", r#"{"order":7}"#)?;
/// assert_eq!(sample.body(), r#"{"data":{"order":7},"event":{"id":"evt_1"}}"#);
/// assert_eq!(sample.headers()["x-acme-event"], "order.paid");
///
/// let delivery = testing::delivery_with_headers(&acme, sample.headers().clone(), sample.body().to_owned())?;
/// assert_eq!((delivery.id(), delivery.event_type()), ("evt_1", "order.paid"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SampleEvent {
    headers: HeaderMap,
    body: String,
}

impl SampleEvent {
    /// An event of now with a JSON value as payload. Where the whole body is the payload, id and type are put into it;
    /// where the provider has no id that is signed, the body has `sample_id`, so that two events differ.
    ///
    /// # Errors
    ///
    /// Where the payload is not JSON, or an id or a type that belongs into a header cannot stand there.
    pub fn new(provider: &Provider, id: &str, event_type: &str, payload: &str) -> Result<Self, BoxError> {
        let created = unix_seconds(SystemTime::now());
        let payload: Value = serde_json::from_str(payload)?;
        let event = Ingredients { id, event_type, payload, created };
        let (named, mut body) = provider.envelope().compose(event);
        if let Authenticator::Data(scheme) = provider.authenticator()
            && let Some(path) = scheme.body_timestamp()
        {
            let timestamp = scheme.timestamp_text(created);
            put(
                &mut body,
                path.pointer(),
                serde_json::from_str(&timestamp).unwrap_or(Value::String(timestamp)),
            );
        }
        let mut headers = HeaderMap::new();
        for (name, value) in named {
            headers.insert(name, HeaderValue::try_from(value)?);
        }
        Ok(Self { headers, body: body.to_string() })
    }

    /// The headers that belong to the envelope.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body, JSON on one line.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }
}
