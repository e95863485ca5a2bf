//! Answers of the APIs, and the ways in which they go wrong.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use serde_json::{Value, json};

use super::faults::Fault;

/// The most of a huge body.
const HUGE: usize = 64 * 1024 * 1024;

/// A status, and a body where there is one.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Option<Value>,
    /// Boxed, since few answers have one and many functions return an answer as their error.
    header: Option<Box<(HeaderName, HeaderValue)>>,
    /// The member that holds a secret.
    secret: Option<String>,
}

impl Answer {
    pub(super) fn json(status: StatusCode, body: Value) -> Self {
        Self { body: Some(body), ..Self::empty(status) }
    }

    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, body: None, header: None, secret: None }
    }

    pub(super) fn error(status: StatusCode, message: &str) -> Self {
        Self::json(status, json!({"error": {"message": message}}))
    }

    pub(super) fn not_found() -> Self {
        Self::error(StatusCode::NOT_FOUND, "there is no such thing")
    }

    pub(super) fn unauthorized() -> Self {
        Self::error(StatusCode::UNAUTHORIZED, "the API key is missing or wrong")
    }

    pub(super) fn not_allowed(allow: &'static str) -> Self {
        let error = Self::error(StatusCode::METHOD_NOT_ALLOWED, "there is no such call");
        Self { header: Some(Box::new((ALLOW, HeaderValue::from_static(allow)))), ..error }
    }

    /// Puts the secret into a member of the body.
    pub(super) fn with_secret(mut self, name: &str, secret: &str) -> Self {
        if let Some(body) = self.body.as_mut().and_then(Value::as_object_mut) {
            body.insert(name.to_owned(), secret.into());
            self.secret = Some(name.to_owned());
        }
        self
    }

    /// What is answered in place of doing anything.
    pub(super) fn instead(fault: &Fault) -> Option<Self> {
        match fault {
            Fault::Status { status, retry_after } => {
                let status = StatusCode::from_u16(*status)
                    .ok()
                    .filter(|status| status.as_u16() >= 200 && status.as_u16() < 600);
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let header = retry_after.map(|seconds| Box::new((RETRY_AFTER, HeaderValue::from(seconds))));
                let error = match status {
                    StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Self::empty(status),
                    _ => Self::error(status, "a planned fault"),
                };
                Some(Self { header, ..error })
            }
            Fault::Redirect(location) => {
                let location =
                    HeaderValue::try_from(location).unwrap_or_else(|_| HeaderValue::from_static("/"));
                let redirect = Self::error(StatusCode::TEMPORARY_REDIRECT, "a planned fault");
                Some(Self { header: Some(Box::new((LOCATION, location))), ..redirect })
            }
            _ => None,
        }
    }

    /// As it goes on the wire.
    pub(super) fn into_response(mut self, fault: Option<&Fault>) -> Response<AnswerBody> {
        if let (Some(Fault::WithoutSecret), Some(name)) = (fault, &self.secret)
            && let Some(body) = self.body.as_mut().and_then(Value::as_object_mut)
        {
            body.remove(name);
        }
        let mut bytes = self.body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let mut body = AnswerBody::default();
        match fault {
            Some(Fault::MalformedJson) => bytes = b"{\"id\": \"we_malformed\", \"url\": ".to_vec(),
            Some(Fault::HugeBody(blanks)) => bytes.resize(bytes.len() + (*blanks).min(HUGE), b' '),
            Some(Fault::Truncated) => {
                // Also an empty body must promise more than it has.
                body.missing = (bytes.len() / 2).max(1);
                bytes.truncate(bytes.len() - bytes.len() / 2);
            }
            _ => {}
        }
        let is_json = !bytes.is_empty();
        body.rest = Some(Bytes::from(bytes)).filter(|bytes| !bytes.is_empty());
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        if is_json {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        response.headers_mut().extend(self.header.map(|header| *header));
        response
    }
}

/// A body that may promise more than it has.
#[derive(Debug, Default)]
pub(super) struct AnswerBody {
    rest: Option<Bytes>,
    missing: usize,
    flushed: Option<Pin<Box<tokio::time::Sleep>>>,
}

/// Closes the connection.
#[derive(Debug, thiserror::Error)]
#[error("a planned fault")]
pub(super) struct Closed;

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        if let Some(bytes) = self.rest.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if self.missing == 0 {
            return Poll::Ready(None);
        }
        // What went before is written while this waits; at an error it would be thrown away.
        let flushed =
            self.flushed.get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::from_millis(10))));
        flushed.as_mut().poll(context).map(|()| Some(Err(Closed)))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.missing == 0
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.rest.as_ref().map_or(0, Bytes::len) + self.missing;
        SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
    }
}
