//! Reading answers: bounded, and without trusting a word of them.

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Answer, Http, lenient};
use crate::endpoints::error::{EndpointError, EndpointErrorKind};
use crate::signature::Secret;

/// A hundred events of 160 KiB. What is longer is no answer of these APIs.
const MAX_BODY: usize = 16 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What of an API's explanation is kept.
const MAX_MESSAGE: usize = 300;

/// What is wrong with an answer that says what has become of something else.
pub(in crate::endpoints) const ANOTHER_ID: &str = "it has another id than was asked for";

/// An attempt that came to nothing.
pub(super) struct Failed {
    pub(super) error: EndpointError,
    /// Whether the request may have reached the API.
    pub(super) sent: bool,
}

impl Failed {
    pub(super) fn sent(error: EndpointError) -> Self {
        Self { error, sent: true }
    }
}

/// The body, or `None` where it is too long.
pub(super) async fn body(response: &mut reqwest::Response) -> Result<Option<Bytes>, reqwest::Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_BODY {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    // JSON begins without it, but not everything that writes JSON knows that.
    if body.starts_with(BYTE_ORDER_MARK) {
        body.advance(BYTE_ORDER_MARK.len());
    }
    Ok(Some(body.freeze()))
}

pub(super) fn kind_of(status: StatusCode) -> EndpointErrorKind {
    use EndpointErrorKind as K;
    match status {
        StatusCode::BAD_REQUEST => K::BadRequest,
        StatusCode::UNAUTHORIZED => K::Unauthorized,
        StatusCode::FORBIDDEN => K::Forbidden,
        StatusCode::NOT_FOUND => K::NotFound,
        StatusCode::CONFLICT => K::Conflict,
        StatusCode::TOO_MANY_REQUESTS => K::RateLimited,
        _ if status.is_redirection() => K::Redirected,
        _ if status.is_server_error() => K::Server,
        _ => K::UnexpectedStatus,
    }
}

/// What the API calls the request.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("request-id").or_else(|| headers.get("x-request-id"))?.to_str().ok()?;
    let plain = |c: char| c.is_ascii_graphic();
    (!value.is_empty() && value.len() <= 128 && value.chars().all(plain)).then(|| value.to_owned())
}

/// What the API says about a refusal: the member `message` or `error` of its answer, or `message` within `error`.
pub(super) fn message<'h>(body: &[u8], hidden: impl Iterator<Item = &'h str>) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let error = answer.get("error");
    let message =
        error.and_then(|error| error.get("message")).or(answer.get("message")).or(error)?.as_str()?;
    let mut message = without_signing_secrets(message);
    for hidden in hidden {
        message = message.replace(hidden, "(hidden)");
    }
    let message = plain(&message);
    (!message.trim().is_empty()).then(|| message.trim().to_owned())
}

/// Of a text that a stranger had a say in, what may stand in an error.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE).collect()
}

/// A signing secret that an API repeats is known to nobody here but by its beginning, where it has one.
fn without_signing_secrets(text: &str) -> String {
    let mut pieces = text.split("whsec_");
    let mut shown = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let of_secret = |c: char| c.is_ascii_alphanumeric() || "+/=_-".contains(c);
        shown += "(hidden)";
        shown += piece.trim_start_matches(of_secret);
    }
    shown
}

/// The object that an answer holds.
pub(in crate::endpoints) fn read<T: DeserializeOwned>(
    http: &Http,
    operation: &'static str,
    answer: &Answer,
) -> Result<T, EndpointError> {
    serde_json::from_slice(&answer.body).map_err(|error| malformed(http, operation, answer, error))
}

/// Of the answer to a creation the id of what was created, and its secret. An answer that has one of the two is no
/// creation that failed: the secret is shown only here, and goes into the error where there is nowhere else for it.
pub(in crate::endpoints) fn created<T: DeserializeOwned + ToString>(
    http: &Http,
    operation: &'static str,
    answer: &Answer,
    secret_at: &str,
) -> Result<(T, Secret), EndpointError> {
    let with_answer =
        |kind| http.error(kind, operation).with_answer(answer.status, answer.request_id.clone());
    // What is wrong elsewhere, a text that is no UTF-8 for instance, must not cost the secret.
    let text = String::from_utf8_lossy(&answer.body);
    let body = serde_json::from_str::<&RawValue>(&text).map_err(|error| {
        with_answer(EndpointErrorKind::OutcomeUnknown).with_source(malformed(http, operation, answer, error))
    })?;
    let id = lenient::value(body, "/id").map(|id| serde_json::from_str::<T>(id.get()));
    let secret = lenient::value(body, secret_at)
        .and_then(|secret| serde_json::from_str::<String>(secret.get()).ok())
        .and_then(shown);
    match (id, secret) {
        (Some(Ok(id)), Some(secret)) => Ok((id, secret)),
        (Some(Ok(id)), None) => {
            Err(with_answer(EndpointErrorKind::SecretMissing).with_endpoints([id.to_string()]))
        }
        (_, secret) => {
            let malformed =
                malformed(http, operation, answer, "the endpoint has no id, or none of the documented form");
            let error = with_answer(EndpointErrorKind::OutcomeUnknown).with_source(malformed);
            Err(match secret {
                Some(secret) => error.with_secret(secret),
                None => error,
            })
        }
    }
}

/// A secret that is shown only once: a short one is better than none, and so is one that has white space around it, which
/// cannot be a part of it.
fn shown(text: String) -> Option<Secret> {
    let text = zeroize::Zeroizing::new(text);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    Secret::new(text).or_else(|_| Secret::weak(text)).ok()
}

/// The items of a list: the answer itself, or, since the form of lists is documented nowhere, its one member that is a
/// list. And what the answer says about whether there is more (`has_more`), where it does.
pub(in crate::endpoints) fn object_with_list(
    http: &Http,
    operation: &'static str,
    answer: &Answer,
) -> Result<Listed, EndpointError> {
    list(&answer.body).map_err(|problem| match problem {
        Some(error) => malformed(http, operation, answer, error),
        None => malformed(http, operation, answer, "it has not exactly one list"),
    })
}

type Listed = (Vec<Box<RawValue>>, Option<bool>);

fn list(body: &[u8]) -> Result<Listed, Option<serde_json::Error>> {
    if let Ok(items) = serde_json::from_slice::<Vec<Box<RawValue>>>(body) {
        return Ok((items, None));
    }
    let members: std::collections::BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(body).map_err(Some)?;
    let mut lists = members.values().filter(|value| value.get().starts_with('['));
    let (Some(list), None) = (lists.next(), lists.next()) else { return Err(None) };
    let has_more = members.get("has_more").and_then(|more| more.get().parse().ok());
    serde_json::from_str(list.get()).map(|items| (items, has_more)).map_err(Some)
}

/// Of the answer there is nothing in it: it may hold a secret. Nor of serde's text, which may quote it.
pub(in crate::endpoints) fn malformed(
    http: &Http,
    operation: &'static str,
    answer: &Answer,
    problem: impl Into<Problem>,
) -> EndpointError {
    let detail = match problem.into() {
        Problem::Json(error) => match error.classify() {
            serde_json::error::Category::Data => {
                format!("not the documented object, at line {} column {}", error.line(), error.column())
            }
            _ => format!("not JSON, at line {} column {}", error.line(), error.column()),
        },
        Problem::Text(text) => text.to_owned(),
    };
    let error = http.error(EndpointErrorKind::Malformed, operation).with_detail(detail);
    error.with_answer(answer.status, answer.request_id.clone())
}

/// What is wrong with an answer.
pub(in crate::endpoints) enum Problem {
    Json(serde_json::Error),
    Text(&'static str),
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl From<&'static str> for Problem {
    fn from(text: &'static str) -> Self {
        Self::Text(text)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_list_is_the_answer_or_its_only_list() {
        let items = |body: &str| {
            let (items, more) = list(body.as_bytes()).ok()?;
            Some((items.iter().map(|item| item.get().to_owned()).collect::<Vec<_>>(), more))
        };
        let two = vec!["1".to_owned(), "{\"a\":[2]}".to_owned()];
        assert_eq!(items("[1,{\"a\":[2]}]"), Some((two.clone(), None)));
        assert_eq!(
            items("{\"object\":\"list\",\"data\":[1,{\"a\":[2]}],\"has_more\":true}"),
            Some((two, Some(true)))
        );
        assert_eq!(items("{\"data\": []}"), Some((vec![], None)));
        assert_eq!(items("{\"data\": [], \"has_more\": false}"), Some((vec![], Some(false))));
        assert_eq!(items("{\"data\": [], \"has_more\": null}"), Some((vec![], None)));
        for body in ["{}", "{\"a\":[],\"b\":[]}", "7", "", "[1", "{\"data\":{}}", "null"] {
            assert_eq!(items(body), None, "{body}");
        }
    }

    #[test]
    fn a_message_is_short_plain_and_without_secrets() {
        let said = |body: &str| message(body.as_bytes(), ["sk_test_x", "hunter2"].into_iter());
        assert_eq!(said(r#"{"error":{"message":"no such url"}}"#).unwrap(), "no such url");
        assert_eq!(said(r#"{"message":"a\u001b[2Jb"}"#).unwrap(), "a [2Jb");
        assert_eq!(
            said(r#"{"error":"key sk_test_x, secret hunter2"}"#).unwrap(),
            "key (hidden), secret (hidden)"
        );
        assert_eq!(
            said(r#"{"message":"whsec_aB+/=_-9: not \"whsec_x\", whsec_"}"#).unwrap(),
            "(hidden): not \"(hidden)\", (hidden)"
        );
        assert_eq!(
            said(&format!(r#"{{"error":"{}"}}"#, "ä".repeat(1000))).unwrap().chars().count(),
            MAX_MESSAGE
        );
        for body in ["", "<html>", "{}", r#"{"error":{}}"#, r#"{"message":" "}"#, r#"{"message":7}"#] {
            assert_eq!(said(body), None, "{body}");
        }
    }

    #[test]
    fn a_request_id_is_a_short_word() {
        let read = |name: &'static str, value: &str| {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            )]);
            request_id(&headers)
        };
        assert_eq!(read("request-id", "req_1").as_deref(), Some("req_1"));
        assert_eq!(read("x-request-id", "a-b").as_deref(), Some("a-b"));
        assert_eq!(read("other", "a"), None);
        assert_eq!(read("request-id", &"x".repeat(129)), None);
        assert_eq!(read("request-id", "a b"), None);
    }
}
