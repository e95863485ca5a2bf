//! One call to an API: attempts, timeouts, statuses as errors. Nothing here knows what is called.

mod answer;
mod lenient;
mod options;
mod retry;
mod tls;

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use self::answer::Failed;
pub(super) use self::answer::{ANOTHER_ID, created, malformed, object_with_list, read};
pub use self::options::ClientOptions;
use super::check::checked;
use super::error::{EndpointError, EndpointErrorKind};
use crate::signature::Secret;

/// A base URL, a credential, and how patient to be.
pub(super) struct Http {
    client: reqwest::Client,
    provider: &'static str,
    base: Url,
    credential: (HeaderName, HeaderValue),
    /// Where in the credential the key begins, which must not appear in an error.
    key_at: usize,
    options: ClientOptions,
}

/// What is asked of an API.
pub(super) struct Call<'a> {
    /// In words, for errors.
    pub(super) operation: &'static str,
    pub(super) method: Method,
    /// Below the base URL. Each has been checked to be one segment.
    pub(super) path: &'a [&'a str],
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Option<Vec<u8>>,
    /// Whether doing it twice is doing it once.
    pub(super) idempotent: bool,
    /// What must not appear in an error, should the API repeat it.
    pub(super) hidden: Option<&'a str>,
}

impl<'a> Call<'a> {
    pub(super) fn get(operation: &'static str, path: &'a [&'a str]) -> Self {
        let (query, body, hidden) = (Vec::new(), None, None);
        Self { operation, method: Method::GET, path, query, body, idempotent: true, hidden }
    }

    pub(super) fn delete(operation: &'static str, path: &'a [&'a str]) -> Self {
        Self { method: Method::DELETE, ..Self::get(operation, path) }
    }

    /// Sets something to given values, however often.
    pub(super) fn update(
        operation: &'static str,
        method: Method,
        path: &'a [&'a str],
        body: Vec<u8>,
    ) -> Self {
        Self { method, body: Some(body), ..Self::get(operation, path) }
    }

    pub(super) fn create(operation: &'static str, path: &'a [&'a str], body: Vec<u8>) -> Self {
        Self { method: Method::POST, body: Some(body), idempotent: false, ..Self::get(operation, path) }
    }
}

/// A 2xx.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) request_id: Option<String>,
    pub(super) body: Bytes,
}

impl Http {
    /// `prefix` stands before the secret in the header: `Bearer `.
    pub(super) fn new(
        provider: &'static str,
        base: &str,
        (name, prefix, secret): (HeaderName, &str, &Secret),
        options: ClientOptions,
    ) -> Result<Self, EndpointError> {
        let refused =
            |detail| EndpointError::new(EndpointErrorKind::InvalidRequest, provider).with_detail(detail);
        let base = checked(provider, base, options.allow_loopback)?;
        if base.query().is_some() {
            return Err(refused("the base URL of the API has a query"));
        }
        let text = zeroize::Zeroizing::new(format!("{prefix}{}", secret.expose()));
        let mut value =
            HeaderValue::from_str(&text).map_err(|_| refused("the API key cannot stand in a header"))?;
        value.set_sensitive(true);
        let roots = options.roots.read().map_err(refused)?;
        let no_client = if roots.is_empty() {
            "no HTTP client could be made"
        } else {
            "no HTTP client could be made that trusts these root certificates"
        };
        let mut client = reqwest::Client::builder().tls_certs_merge(roots);
        if base.scheme() == "http" {
            // A proxy that the environment names may be another machine, and nothing would be encrypted on the way.
            client = client.no_proxy();
        }
        let client = client
            // The credential would go along, wherever that leads.
            .redirect(reqwest::redirect::Policy::none())
            // What is repeated is ours to say.
            .retry(reqwest::retry::never())
            .referer(false)
            // An idle connection that the API closes as a request goes out leaves it unknown what became of that.
            .pool_idle_timeout(Duration::from_secs(5))
            .https_only(!options.allow_loopback)
            .build()
            .map_err(|error| refused(no_client).with_source(error))?;
        Ok(Self { client, provider, base, credential: (name, value), key_at: prefix.len(), options })
    }

    pub(super) fn provider(&self) -> &'static str {
        self.provider
    }

    pub(super) fn options(&self) -> &ClientOptions {
        &self.options
    }

    pub(super) fn error(&self, kind: EndpointErrorKind, operation: &'static str) -> EndpointError {
        EndpointError::new(kind, self.provider).during(operation)
    }

    /// Makes the call, as often as it takes and is allowed.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Answer, EndpointError> {
        let url = self.url(&call);
        let begun = Instant::now();
        let mut attempt = 1;
        let mut repeated = false;
        loop {
            let left = self.options.deadline.saturating_sub(begun.elapsed());
            let at_most = self.options.attempt_timeout.min(left);
            let failed = match timeout(at_most, self.attempt(&call, &url)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failed)) => failed,
                Err(_) => Failed::sent(self.error(EndpointErrorKind::Timeout, call.operation)),
            };
            if !call.idempotent {
                return Err(self.of_creation(failed, &call));
            }
            let pause = retry::pause(&self.options, &failed.error, attempt, begun.elapsed(), retry::jitter());
            let Some(pause) = pause else {
                // Gone, and by an attempt of ours whose answer was lost.
                if repeated
                    && call.method == Method::DELETE
                    && failed.error.kind() == EndpointErrorKind::NotFound
                {
                    return Ok(Answer {
                        status: StatusCode::OK,
                        request_id: failed.error.request_id().map(str::to_owned),
                        body: Bytes::new(),
                    });
                }
                return Err(failed.error);
            };
            // What was refused in so many words was not done.
            use EndpointErrorKind as K;
            repeated |= matches!(failed.error.kind(), K::Timeout | K::Broken | K::Server);
            sleep(pause).await;
            attempt += 1;
        }
    }

    /// A creation whose answer was lost, or which failed on the other side, may have happened.
    fn of_creation(&self, failed: Failed, call: &Call<'_>) -> EndpointError {
        use EndpointErrorKind as K;
        let error = failed.error;
        let is_unknown = match error.kind() {
            K::Timeout | K::Broken | K::Server | K::Malformed | K::TooLarge => failed.sent,
            // It may be done, and elsewhere to see; or be done later, by an API that did not wait for it.
            _ => matches!(
                error.status(),
                Some(StatusCode::FOUND | StatusCode::SEE_OTHER | StatusCode::REQUEST_TIMEOUT)
            ),
        };
        if !is_unknown {
            return error;
        }
        let mut unknown = self.error(K::OutcomeUnknown, call.operation);
        if let Some(status) = error.status() {
            unknown = unknown.with_answer(status, error.request_id().map(str::to_owned));
        }
        unknown.with_retry_after(error.retry_after()).with_source(error)
    }

    async fn attempt(&self, call: &Call<'_>, url: &Url) -> Result<Answer, Failed> {
        let (name, value) = &self.credential;
        let mut request = self
            .client
            .request(call.method.clone(), url.clone())
            .header(name, value)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("tower-webhook/", env!("CARGO_PKG_VERSION")));
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let broken = |error: reqwest::Error| {
            let sent = !error.is_connect() && !error.is_builder();
            let objection = tls::objection(&error);
            let kind = match objection {
                Some(_) => EndpointErrorKind::Tls,
                None if sent => EndpointErrorKind::Broken,
                None => EndpointErrorKind::Unreachable,
            };
            // Without the URL, in whose query somebody may have put a credential.
            let failure = self.error(kind, call.operation).with_source(error.without_url());
            let failure = match objection {
                Some(objection) => failure.with_detail(objection),
                None => failure,
            };
            Failed { sent, error: failure }
        };
        let mut response = request.send().await.map_err(broken)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let request_id = answer::request_id(&headers);
        let body = match answer::body(&mut response).await {
            Ok(Some(body)) => body,
            Ok(None) => {
                let error = self.error(EndpointErrorKind::TooLarge, call.operation);
                return Err(Failed::sent(error.with_answer(status, request_id)));
            }
            Err(error) => {
                let error =
                    self.error(EndpointErrorKind::Broken, call.operation).with_source(error.without_url());
                return Err(Failed::sent(error.with_answer(status, request_id)));
            }
        };
        if status.is_success() {
            return Ok(Answer { status, request_id, body });
        }
        let mut error = self.error(answer::kind_of(status), call.operation);
        let credential = std::str::from_utf8(self.credential.1.as_bytes()).ok();
        let hidden = [call.hidden, credential.and_then(|credential| credential.get(self.key_at..))];
        if let Some(message) = answer::message(&body, hidden.into_iter().flatten()) {
            error = error.with_detail(message);
        }
        let retry_after = retry::retry_after(&headers, SystemTime::now());
        Err(Failed::sent(error.with_answer(status, request_id).with_retry_after(retry_after)))
    }

    fn url(&self, call: &Call<'_>) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        url
    }
}

/// Without the credential.
impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("base", &self.base.as_str())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever shows headers, and whatever compresses them, leaves out one that says so of itself.
    #[test]
    fn the_credential_is_marked_as_one() {
        let key = Secret::new("sk_test_0123456789abcdef").unwrap();
        let bearer = (http::header::AUTHORIZATION, "Bearer ", &key);
        let http = Http::new("p", "https://api.example/", bearer, ClientOptions::default()).unwrap();
        let (name, value) = &http.credential;
        assert_eq!(
            (name.as_str(), value.as_bytes()),
            ("authorization", &b"Bearer sk_test_0123456789abcdef"[..])
        );
        assert!(value.is_sensitive() && !format!("{value:?} {http:?}").contains("sk_test"));
    }
}
