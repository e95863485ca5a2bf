//! CasPay: creating an endpoint.

use http::HeaderName;
use serde_json::{Value, json};

use super::check::{checked, some_events};
use super::error::{EndpointError, EndpointErrorKind};
use super::http::{Call, ClientOptions, Http};
use crate::signature::Secret;

/// A client that creates webhook endpoints at CasPay, as its JavaScript SDK does: `{url, events, secret}`.
///
/// Here the merchant chooses the secret, so that the receiver can accept it before the first event. Nothing else of an
/// endpoint API is documented: to list, change or delete endpoints there is CasPay's dashboard, and no
/// [`EndpointManager`](super::EndpointManager). Path and authentication are undocumented too, and yours to say.
///
/// ```no_run
/// use tower_webhook::Secret;
/// use tower_webhook::endpoints::{CasPay, CasPaySettings, ClientOptions};
///
/// # async fn create() -> Result<(), tower_webhook::BoxError> {
/// // Invented: take path and header from what you have from CasPay.
/// let settings = CasPaySettings::new("/invented/webhooks", "x-invented-key")?;
/// let key = Secret::new(std::env::var("CASPAY_API_KEY")?)?;
/// let caspay = CasPay::new(&std::env::var("CASPAY_API_URL")?, key, settings, ClientOptions::default())?;
///
/// let secret = Secret::new(std::env::var("CASPAY_WEBHOOK_SECRET")?)?; // which the receiver accepts by now
/// let events = ["payment.completed".to_owned()];
/// caspay.create("https://shop.example/webhooks/caspay", &events, &secret).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CasPay {
    http: std::sync::Arc<Http>,
    path: Vec<String>,
}

/// What CasPay's documentation leaves open. Nothing of it has a default.
#[derive(Clone, Debug)]
#[must_use]
pub struct CasPaySettings {
    path: Vec<String>,
    key_header: HeaderName,
    key_prefix: String,
}

impl CasPaySettings {
    /// The path that endpoints are created at, below the base URL, and the header that carries the API key.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`](EndpointErrorKind::InvalidRequest) where one is no absolute path without a query, or the other
    /// no header name.
    pub fn new(path: &str, key_header: &str) -> Result<Self, EndpointError> {
        let refused =
            |detail| EndpointError::new(EndpointErrorKind::InvalidRequest, "caspay").with_detail(detail);
        let key_header = key_header.parse().map_err(|_| refused("no legal header name"))?;
        let segments =
            path.strip_prefix('/').map(|rest| rest.split('/').map(str::to_owned).collect::<Vec<_>>());
        let is_plain = |text: &String| !matches!(&**text, "" | "." | "..") && !text.contains(['?', '#', '%']);
        match segments {
            Some(path) if path.iter().all(is_plain) => {
                Ok(Self { path, key_header, key_prefix: String::new() })
            }
            _ => Err(refused(
                "the path to create endpoints at begins with `/` and has neither query nor escapes",
            )),
        }
    }

    /// What stands before the API key in its header, such as `Bearer ` with its blank. Default: nothing.
    pub fn with_key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key_prefix = prefix.into();
        self
    }
}

/// An endpoint that CasPay has created.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CasPayEndpoint {
    /// Its id, where the answer has a text of this name: the answer is undocumented.
    pub id: Option<String>,
}

impl CasPay {
    /// A client of the API at `base_url`.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`](EndpointErrorKind::InvalidUrl) unless the URL is https, or on loopback where
    /// [that is allowed](ClientOptions::allow_loopback).
    #[expect(clippy::needless_pass_by_value, reason = "a key that is given away is wiped")]
    pub fn new(
        base_url: &str,
        key: Secret,
        settings: CasPaySettings,
        options: ClientOptions,
    ) -> Result<Self, EndpointError> {
        let CasPaySettings { path, key_header, key_prefix } = settings;
        let http = Http::new("caspay", base_url, (key_header, &key_prefix, &key), options)?;
        Ok(Self { http: std::sync::Arc::new(http), path })
    }

    /// Creates an endpoint at `url`, https, for events of these types, of which there is at least one, signed with
    /// `secret`. Let the receiver accept the secret first: CasPay may deliver at once.
    ///
    /// # Errors
    ///
    /// [`OutcomeUnknown`](EndpointErrorKind::OutcomeUnknown) where the answer was lost or the API failed: if the endpoint
    /// exists, its secret is the one that was given. And whatever else [`EndpointErrorKind`] lists.
    pub async fn create(
        &self,
        url: &str,
        events: &[String],
        secret: &Secret,
    ) -> Result<CasPayEndpoint, EndpointError> {
        const OPERATION: &str = "create endpoint";
        let allow_loopback = self.http.options().allows_loopback();
        checked("caspay", url, allow_loopback).map_err(|error| error.during(OPERATION))?;
        some_events(&self.http, OPERATION, events)?;
        let body = json!({ "url": url, "events": events, "secret": secret.expose() });
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let mut call = Call::create(OPERATION, &path, body.to_string().into_bytes());
        call.hidden = Some(secret.expose());
        let answer = self.http.call(call).await.map_err(|error| match error.kind() {
            EndpointErrorKind::OutcomeUnknown => error.with_advice(
                "an endpoint may have been created: look for it in CasPay's dashboard; if it is there, its secret is \
                 the one that was given",
            ),
            _ => error,
        })?;
        let id = serde_json::from_slice::<Value>(&answer.body).ok();
        let id = id.and_then(|answer| answer.get("id").and_then(Value::as_str).map(str::to_owned));
        Ok(CasPayEndpoint { id })
    }
}
