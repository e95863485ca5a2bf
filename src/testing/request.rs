//! Requests as a provider would send them.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Request};
use sha2::{Digest, Sha256};

use crate::body::Body;
use crate::clock::unix_seconds;
use crate::delivery::{Circumstances, Delivery};
use crate::dispatch::HandlerError;
use crate::error::ConfigError;
use crate::provider::Provider;
use crate::signature::signing::ToSign;
use crate::signature::{Authenticator, ResolvedScheme, Secret};

/// A request to be signed as `provider` signs, with one thing after another changed where a test needs it.
///
/// ```
/// use tower_webhook::testing::SignedRequest;
/// use tower_webhook::{Secret, casapay};
///
/// let secret = Secret::new("whsec_0123456789abcdef")?;
/// let request = SignedRequest::new(&casapay::provider(), &secret, r#"{"id":"evt_1"}"#)
///     .at_unix(1_700_000_000)
///     .build();
/// assert!(request.headers()["x-casapay-signature"].to_str().unwrap().starts_with("t=1700000000,v1="));
/// # Ok::<(), tower_webhook::ConfigError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct SignedRequest<'a> {
    provider: &'a Provider,
    secret: &'a Secret,
    body: Bytes,
    at: Option<At>,
    uri: String,
    headers: HeaderMap,
}

#[derive(Debug)]
enum At {
    Unix(u64),
    Text(String),
}

impl<'a> SignedRequest<'a> {
    /// A POST of `body` to `/`, signed with `secret` at the time of [`build`](Self::build).
    pub fn new(provider: &'a Provider, secret: &'a Secret, body: impl Into<Bytes>) -> Self {
        Self { provider, secret, body: body.into(), at: None, uri: "/".to_owned(), headers: HeaderMap::new() }
    }

    /// A captured request, signed anew: its body, and its headers but for signature, timestamp and length. Where the
    /// timestamp is in the body, it stays as it was.
    ///
    /// ```
    /// use tower_webhook::testing::SignedRequest;
    /// use tower_webhook::{Secret, provider::standard_webhooks};
    ///
    /// let (provider, secret) = (standard_webhooks::provider(), Secret::new("whsec_MDEyMzQ1Njc4OWFiY2RlZg==")?);
    /// let id = http::HeaderValue::from_static("msg_1");
    /// let captured = SignedRequest::new(&provider, &secret, "{}")
    ///     .with_header(http::HeaderName::from_static("webhook-id"), id)
    ///     .at_unix(1_700_000_000)
    ///     .build();
    ///
    /// let again = SignedRequest::anew(&provider, &secret, captured.headers(), "{}").at_unix(1_800_000_000).build();
    /// assert_eq!(again.headers()["webhook-id"], "msg_1");
    /// assert_eq!(again.headers()["webhook-timestamp"], "1800000000");
    /// assert_ne!(again.headers()["webhook-signature"], captured.headers()["webhook-signature"]);
    /// # Ok::<(), tower_webhook::ConfigError>(())
    /// ```
    pub fn anew(
        provider: &'a Provider,
        secret: &'a Secret,
        headers: &HeaderMap,
        body: impl Into<Bytes>,
    ) -> Self {
        let mut this = Self::new(provider, secret, body);
        let scheme = this.scheme();
        let made = |name: &HeaderName| {
            *name == CONTENT_LENGTH
                || *name == CONTENT_TYPE
                || scheme.signature_headers().chain(scheme.timestamp_header()).any(|made| made == name)
        };
        let kept = headers.iter().filter(|(name, _)| !made(name));
        this.headers.extend(kept.map(|(name, value)| (name.clone(), value.clone())));
        this
    }

    /// Signs at another time, in Unix seconds. Without effect where the scheme signs no timestamp.
    pub fn at_unix(mut self, seconds: u64) -> Self {
        self.at = Some(At::Unix(seconds));
        self
    }

    /// Signs this very text as the timestamp, well-formed or not.
    pub fn with_timestamp_text(mut self, text: impl Into<String>) -> Self {
        self.at = Some(At::Text(text.into()));
        self
    }

    /// Sends to another URI.
    pub fn with_uri(mut self, uri: impl Into<String>) -> Self {
        self.uri = uri.into();
        self
    }

    /// Adds a header. What the scheme signs in headers is taken from here; a signed header that is not given has a
    /// value of no meaning.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Adds headers, such as those of a [`SampleEvent`](super::SampleEvent).
    pub fn with_headers(mut self, headers: &HeaderMap) -> Self {
        for (name, value) in headers {
            self.headers.append(name, value.clone());
        }
        self
    }

    /// Names the key, where the provider says in a header which one it signed with. Else without effect; by default it is
    /// the label of a secret that is given alone.
    ///
    /// ```
    /// use tower_webhook::testing::SignedRequest;
    /// use tower_webhook::{Secret, provider::pusher};
    ///
    /// let secret = Secret::new("a-signing-secret")?;
    /// let request = SignedRequest::new(&pusher::provider(), &secret, "{}").with_key_id("app_1").build();
    /// assert_eq!(request.headers()["x-pusher-key"], "app_1");
    /// # Ok::<(), tower_webhook::ConfigError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// Where the id cannot stand in a header.
    pub fn with_key_id(mut self, id: &str) -> Self {
        if let Some(name) = self.scheme().key_id_header() {
            let id = HeaderValue::try_from(id).unwrap_or_else(|error| panic!("not a key id: {error}"));
            self.headers.insert(name.clone(), id);
        }
        self
    }

    fn scheme(&self) -> &'a ResolvedScheme {
        match self.provider.authenticator() {
            Authenticator::Data(scheme) => scheme,
            Authenticator::Code { .. } => {
                panic!("{} is verified by code, which signs nothing", self.provider.name())
            }
        }
    }

    /// The value of the signature header.
    ///
    /// # Panics
    ///
    /// Where the secret is no key of the provider, or the provider is verified by code.
    #[must_use]
    pub fn signature(&self) -> String {
        let (timestamp, mut headers) = (self.timestamp(), self.headers.clone());
        self.scheme().complete_headers(&timestamp, &mut headers);
        self.sign(&timestamp, &headers)
    }

    fn timestamp(&self) -> String {
        match &self.at {
            Some(At::Text(text)) => text.clone(),
            Some(At::Unix(seconds)) => self.scheme().timestamp_text(*seconds),
            None => self.scheme().timestamp_text(unix_seconds(SystemTime::now())),
        }
    }

    fn sign(&self, timestamp: &str, headers: &HeaderMap) -> String {
        let to_sign = ToSign { headers, timestamp, body: &self.body };
        let signature = self.scheme().sign(self.secret, &to_sign);
        signature.unwrap_or_else(|error| panic!("cannot sign for {}: {error}", self.provider.name()))
    }

    /// Signs.
    ///
    /// # Panics
    ///
    /// Where the URI, or a timestamp given as text, cannot stand in a request; and as [`signature`](Self::signature).
    pub fn build(self) -> Request<Body> {
        let (timestamp, mut headers) = (self.timestamp(), self.headers.clone());
        self.scheme().complete_headers(&timestamp, &mut headers);
        let signature = self.sign(&timestamp, &headers);
        let mut request = Request::post(&self.uri)
            .header(CONTENT_TYPE, "application/json")
            .header(self.provider.signature_header(), signature)
            .body(Body::new(self.body, None))
            .unwrap_or_else(|error| panic!("not a request: {error}"));
        request.headers_mut().extend(headers);
        request
    }
}

/// The secret by which a receiver verifies what `secret` signs: for Ed25519 the public key of the seed that `secret`
/// then is, else the same secret.
///
/// # Errors
///
/// [`ConfigError::UndecodableSecret`] where the secret is no key of the provider.
///
/// # Panics
///
/// Where the provider is verified by code.
pub fn verifying_secret(provider: &Provider, secret: &Secret) -> Result<Secret, ConfigError> {
    SignedRequest::new(provider, secret, Bytes::new()).scheme().verifying_secret(secret)
}

/// A request that `provider` would send now: short for [`SignedRequest`].
///
/// ```
/// use tower::ServiceExt as _;
/// use tower_webhook::{EventRouter, Secret, WebhookLayer, caspay, testing};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = Secret::new("a-signing-secret")?;
/// let body = r#"{"id":"evt_1","type":"payment.completed","data":{}}"#;
/// let request = testing::sign(&caspay::provider(), &secret, body);
///
/// let service = WebhookLayer::new(caspay::provider(), secret)?
///     .with_dispatch(EventRouter::new().on_type("payment.*", async |_: serde_json::Value| ()))
///     .into_service();
/// assert_eq!(service.oneshot(request).await?.status(), 200);
/// # Ok(())
/// # }
/// ```
pub fn sign(provider: &Provider, secret: &Secret, body: impl Into<Bytes>) -> Request<Body> {
    SignedRequest::new(provider, secret, body).build()
}

/// A delivery of `body`, for testing handlers: its envelope is read, no signature is checked.
///
/// # Errors
///
/// Where the envelope cannot be read.
///
/// ```
/// use tower::{Service as _, ServiceExt as _};
/// use tower_webhook::{EventRouter, Outcome, caspay, testing};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_webhook::BoxError> {
/// let mut events = EventRouter::new().on_type("payment.*", async |_: serde_json::Value| ());
/// let body = r#"{"id":"evt_1","type":"payment.completed","data":{}}"#;
/// let delivery = testing::delivery(&caspay::provider(), body)?;
/// assert!(matches!(events.ready().await?.call(delivery).await?, Outcome::Done));
///
/// let error = testing::delivery(&caspay::provider(), "{}").unwrap_err();
/// assert_eq!(error.to_string(), "the envelope has no id");
/// # Ok(())
/// # }
/// ```
pub fn delivery(provider: &Provider, body: impl Into<Bytes>) -> Result<Delivery, HandlerError> {
    delivery_with_headers(provider, HeaderMap::new(), body)
}

/// As [`delivery`], with the headers that came with the body: for providers that have an event's id or type there.
///
/// # Errors
///
/// Where the envelope cannot be read.
pub fn delivery_with_headers(
    provider: &Provider,
    headers: HeaderMap,
    body: impl Into<Bytes>,
) -> Result<Delivery, HandlerError> {
    let body = body.into();
    // Nothing is signed here: the body stands for what would be.
    let event = provider.envelope().scan(&body, &headers, || Sha256::digest(&body).into());
    let event = event.map_err(|error| HandlerError::unreadable(error.to_string()))?;
    let circumstances = Circumstances {
        provider: provider.name().into(),
        scope: provider.name().into(),
        tenant: None,
        secret_label: None,
        received_at: SystemTime::now(),
        signed_at: None,
        fetched: false,
        headers,
    };
    Ok(Delivery::new(circumstances, event, body))
}
