//! A request to an API, read whole, and what all three check of it.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value};
use url::Url;

use super::answer::Answer;
use super::platform::Platform;
use super::settings::Settings;
use super::wire::is_loopback;

/// Its path is below the platform's.
pub(super) struct ApiRequest {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl ApiRequest {
    /// The members of the body, which must be a JSON object and say so.
    pub(super) fn fields(&self) -> Result<Fields, Answer> {
        let content_type = self.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let mime = content_type.and_then(|value| value.split(';').next()).map(str::trim);
        if !mime.is_some_and(|mime| mime.eq_ignore_ascii_case("application/json")) {
            return Err(bad_request("the content-type is not application/json"));
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(fields)) => Ok(Fields(fields)),
            Ok(_) => Err(bad_request("the body is not a JSON object")),
            Err(_) => Err(bad_request("the body is not JSON")),
        }
    }

    /// The parameters of the query, of which only these are known.
    pub(super) fn parameters(&self, known: &[&str]) -> Result<Vec<(String, String)>, Answer> {
        let pairs: Vec<(String, String)> =
            form_urlencoded::parse(self.query.as_bytes()).into_owned().collect();
        match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(bad_request(&format!("unknown parameter: {}", short(name)))),
            None => Ok(pairs),
        }
    }
}

/// A 400 that says why.
pub(super) fn bad_request(message: &str) -> Answer {
    Answer::error(StatusCode::BAD_REQUEST, message)
}

/// Enough of a name to recognise it.
fn short(name: &str) -> String {
    name.chars().take(40).collect()
}

/// The parameter of this name, of which there may be one.
pub(super) fn single<'a>(pairs: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, Answer> {
    let mut values = pairs.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
    let value = values.next();
    match values.next() {
        Some(_) => Err(bad_request(&format!("{name} is given twice"))),
        None => Ok(value),
    }
}

/// A parameter that is a whole number within bounds.
pub(super) fn number(
    pairs: &[(String, String)],
    name: &str,
    bounds: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, Answer> {
    let Some(text) = single(pairs, name)? else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && bounds.contains(&number) => Ok(Some(number)),
        _ => Err(bad_request(&format!("{name} is not a whole number within its bounds"))),
    }
}

/// A parameter that is `true` or `false`.
pub(super) fn boolean(pairs: &[(String, String)], name: &str) -> Result<Option<bool>, Answer> {
    match single(pairs, name)? {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(bad_request(&format!("{name} is neither true nor false"))),
    }
}

/// Members of a body, taken one by one: what is left in the end is unknown.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// A string that may be absent.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Answer> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(bad_request(&format!("{name} is not a string"))),
        }
    }

    /// The URL of an endpoint: https, or http where that is allowed, on loopback or to where deliveries may go.
    pub(super) fn url(&mut self, settings: &Settings) -> Result<Option<String>, Answer> {
        let Some(text) = self.text("url")? else { return Ok(None) };
        // Deliveries are signed as requests, which take fewer URLs than browsers do.
        let url = Url::parse(&text).ok().filter(|_| text.parse::<http::Uri>().is_ok());
        let allowed = url.is_some_and(|url| match url.scheme() {
            "https" => true,
            "http" => !settings.require_https && (settings.remote_deliveries || is_loopback(&url)),
            _ => false,
        });
        if allowed { Ok(Some(text)) } else { Err(bad_request("url is not an https URL")) }
    }

    /// A list of event types, under the platform's name for it.
    pub(super) fn events(&mut self, name: &str, platform: Platform) -> Result<Option<Vec<String>>, Answer> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let Ok(events) = serde_json::from_value::<Vec<String>>(value) else {
            return Err(bad_request(&format!("{name} is not a list of strings")));
        };
        if events.is_empty() {
            return Err(bad_request(&format!("{name} is empty")));
        }
        match events.iter().find(|event| !platform.knows(event)) {
            Some(unknown) => Err(bad_request(&format!("{name}: unknown event type: {}", short(unknown)))),
            None => Ok(Some(events)),
        }
    }

    /// Says that these were all.
    pub(super) fn done(self) -> Result<(), Answer> {
        match self.0.keys().next() {
            Some(name) => Err(bad_request(&format!("unknown field: {}", short(name)))),
            None => Ok(()),
        }
    }
}

/// What must be there.
pub(super) fn required<T>(value: Option<T>, name: &str) -> Result<T, Answer> {
    value.ok_or_else(|| bad_request(&format!("{name} is required")))
}
