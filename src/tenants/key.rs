//! Where a request names its tenant, and what such a name may look like.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderName, HeaderValue};

use crate::error::{ConfigError, RejectionReason};
use crate::panic::caught;

/// Longer names are nobody's: host names are shorter, and so is every sensible identifier.
const MAX_NAME_BYTES: usize = 128;

/// Where a request names its tenant.
///
/// A tenant's name is 1 to 128 characters of `A-Z`, `a-z`, `0-9`, `-`, `_` and `.`, the first of them no full stop. It
/// is taken as it stands: nothing is trimmed or percent-decoded, and `acme` and `Acme` are two tenants. A request that
/// names its tenant in any other way, not at all, or twice, is one of an unknown tenant, for whom nothing is looked up.
///
/// The name is what the sender says it is, and becomes true by the tenant's secret alone.
///
/// ```
/// use tower_webhook::{ConfigError, TenantKey};
///
/// TenantKey::path_after("/webhooks/stripe/")?; // /webhooks/stripe/{tenant}
/// TenantKey::header("x-tenant")?;
/// TenantKey::host(); // {tenant}: shop.example.com
/// // What is in the query, or in a part of a host name:
/// TenantKey::from_fn(|request| Some(request.uri.host()?.strip_suffix(".example.com")?.to_owned()));
///
/// let error = TenantKey::path_after("webhooks").unwrap_err();
/// assert_eq!(error, ConfigError::InvalidPathPrefix { prefix: "webhooks".to_owned() });
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Clone)]
pub struct TenantKey {
    place: Place,
}

type NameOf = dyn Fn(&Parts) -> Option<String> + Send + Sync;

#[derive(Clone)]
enum Place {
    Header(HeaderName),
    Host,
    PathAfter(Arc<str>),
    Code(Arc<NameOf>),
}

impl TenantKey {
    /// The value of a header, which a gateway has set or the provider sends. Two lines of it name nobody.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidHeaderName`] where `name` is no name of a header.
    pub fn header(name: &str) -> Result<Self, ConfigError> {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| ConfigError::InvalidHeaderName { name: name.to_owned() })?;
        Ok(Self { place: Place::Header(name) })
    }

    /// The host that the request is for: of the URI where that names one, as in HTTP/2, else of the `Host` header.
    /// Without the port and a full stop at its end, in lower case. An address of IPv6 names nobody.
    ///
    /// Behind a proxy that rewrites the host, take the [header](Self::header) in which it keeps the first one.
    #[must_use]
    pub fn host() -> Self {
        Self { place: Place::Host }
    }

    /// The segment of the path that follows `prefix`: for `/webhooks/stripe/` that is `acme` in
    /// `/webhooks/stripe/acme` and in `/webhooks/stripe/acme/events`.
    ///
    /// With the feature `axum` it is looked for in the path that the server was asked for, whatever axum's `nest` has
    /// stripped from it. Without the feature, behind `nest`, the prefix is what is left of it. axum's own path
    /// parameters are not needed: mount the layer at `/webhooks/stripe/{tenant}`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidPathPrefix`] unless `prefix` begins and ends with `/`.
    pub fn path_after(prefix: &str) -> Result<Self, ConfigError> {
        if !(prefix.starts_with('/') && prefix.ends_with('/')) {
            return Err(ConfigError::InvalidPathPrefix { prefix: prefix.to_owned() });
        }
        Ok(Self { place: Place::PathAfter(prefix.into()) })
    }

    /// Whatever `name_of` finds in the head of a request, for all that the others do not cover. What it returns is held
    /// to the same rules; `None` is an unknown tenant. Where it panics, the request is answered 503.
    ///
    /// It runs before anything has been verified, on this task: keep it short.
    pub fn from_fn(name_of: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { place: Place::Code(Arc::new(name_of)) }
    }

    /// The name of a request's tenant, where it is one.
    pub(super) fn find<'r>(&self, request: &'r Parts) -> Result<Option<Cow<'r, str>>, RejectionReason> {
        let name = match &self.place {
            Place::Header(name) => single(request, name).and_then(text).map(Cow::from),
            Place::Host => match request.uri.host() {
                Some(host) => Some(host),
                None => single(request, &HOST).and_then(text).and_then(without_port),
            }
            .map(host_name),
            Place::PathAfter(prefix) => {
                path(request).strip_prefix(&**prefix).and_then(|rest| rest.split('/').next()).map(Cow::from)
            }
            Place::Code(name_of) => {
                caught(|| name_of(request)).ok_or(RejectionReason::SecretsUnavailable)?.map(Cow::from)
            }
        };
        Ok(name.filter(|name| is_name(name)))
    }
}

/// Whether a text can be a tenant's name. Neither `.` nor `..` can, for sources that keep their secrets in files.
fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len())
        && !text.starts_with('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn single<'r>(request: &'r Parts, name: &HeaderName) -> Option<&'r HeaderValue> {
    let mut lines = request.headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

/// The host in a `Host` header; `None` for a port that is none.
fn without_port(authority: &str) -> Option<&str> {
    match authority.split_once(':') {
        None => Some(authority),
        Some((host, port)) => port.bytes().all(|byte| byte.is_ascii_digit()).then_some(host),
    }
}

/// One spelling for each host: `Shop.Example.com.` is `shop.example.com`.
fn host_name(host: &str) -> Cow<'_, str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.len() <= MAX_NAME_BYTES && host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        host.to_ascii_lowercase().into()
    } else {
        host.into()
    }
}

/// The path that the server was asked for.
fn path(request: &Parts) -> &str {
    #[cfg(feature = "axum")]
    if let Some(original) = request.extensions.get::<axum::extract::OriginalUri>() {
        return original.0.path();
    }
    request.uri.path()
}

impl fmt::Debug for TenantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Header(name) => write!(f, "TenantKey::header({name:?})"),
            Place::Host => f.write_str("TenantKey::host()"),
            Place::PathAfter(prefix) => write!(f, "TenantKey::path_after({prefix:?})"),
            Place::Code(_) => f.write_str("TenantKey::from_fn(..)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn request(uri: &str, headers: &[(&str, &[u8])]) -> Parts {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        request.body(()).unwrap().into_parts().0
    }

    #[track_caller]
    fn finds(key: &TenantKey, request: &Parts, expected: Option<&str>) {
        assert_eq!(key.find(request).unwrap().as_deref(), expected, "{:?}", request.uri);
    }

    #[test]
    fn names_are_short_and_plain() {
        let longest = "a".repeat(128);
        for name in ["a", "A-b_c.9", "-", "_", "shop.example.com", "a..b", &longest] {
            assert!(is_name(name), "{name}");
        }
        let too_long = "a".repeat(129);
        for text in
            ["", ".", "..", ".a", "a b", "a/b", "a\\b", "a%2e", "a@b", "a#b", "a:1", "ä", "a\0", &too_long]
        {
            assert!(!is_name(text), "{text:?}");
        }
    }

    #[test]
    fn t007_the_segment_after_a_prefix() {
        let key = TenantKey::path_after("/hooks/").unwrap();
        for (uri, expected) in [
            ("/hooks/acme", Some("acme")),
            ("/hooks/acme/", Some("acme")),
            ("/hooks/acme/events", Some("acme")),
            ("/hooks/acme?tenant=other", Some("acme")),
            ("https://example.com/hooks/acme", Some("acme")),
            ("/hooks/", None),
            ("/hooks", None),
            ("/hooks//acme", None),
            ("/hooks/../acme", None),
            ("/hooks/.", None),
            ("/hooks/%61cme", None),
            ("/hooks/acme%2f..", None),
            ("/hooks/acme;v=1", None),
            ("/Hooks/acme", None),
            ("/other/hooks/acme", None),
            ("/?/hooks/acme", None),
        ] {
            finds(&key, &request(uri, &[]), expected);
        }
        finds(&TenantKey::path_after("/").unwrap(), &request("/acme/x", &[]), Some("acme"));
        for prefix in ["", "hooks/", "/hooks"] {
            let error = TenantKey::path_after(prefix).unwrap_err();
            assert_eq!(error, ConfigError::InvalidPathPrefix { prefix: prefix.to_owned() });
        }
    }

    #[cfg(feature = "axum")]
    #[test]
    fn the_path_is_the_one_that_was_asked_for() {
        let mut nested = request("/acme", &[]);
        let key = TenantKey::path_after("/hooks/").unwrap();
        finds(&key, &nested, None);
        let original = "/hooks/acme".parse().unwrap();
        nested.extensions.insert(axum::extract::OriginalUri(original));
        finds(&key, &nested, Some("acme"));
    }

    #[test]
    fn t007_a_header_that_stands_there_once() {
        let key = TenantKey::header("X-Tenant").unwrap();
        finds(&key, &request("/", &[("x-tenant", b"acme")]), Some("acme"));
        finds(&key, &request("/", &[("x-tenant", b"Acme")]), Some("Acme"));
        for value in [&b""[..], b"acme, acme", b" acme", b"acm\xc3\xa9", b"\xff", b"../acme"] {
            finds(&key, &request("/", &[("x-tenant", value)]), None);
        }
        finds(&key, &request("/", &[]), None);
        finds(&key, &request("/", &[("x-tenant", b"acme"), ("x-tenant", b"acme")]), None);
        let error = TenantKey::header("x tenant").unwrap_err();
        assert_eq!(error, ConfigError::InvalidHeaderName { name: "x tenant".to_owned() });
    }

    #[test]
    fn t007_a_host_in_one_spelling() {
        let shop = Some("shop.example.com");
        for (uri, host, expected) in [
            ("/", Some("shop.example.com"), shop),
            ("/", Some("Shop.EXAMPLE.com:8443"), shop),
            ("/", Some("shop.example.com."), shop),
            ("https://shop.example.com:8443/", None, shop),
            ("https://SHOP.example.com/", Some("other.example.com"), shop),
            ("https://user:password@shop.example.com/", None, shop),
            ("/", Some("shop.example.com:x"), None),
            ("/", Some("user@shop.example.com"), None),
            ("/", Some("[::1]:80"), None),
            ("http://[::1]/", None, None),
            ("/", Some(""), None),
            ("/", None, None),
        ] {
            let headers: Vec<_> = host.iter().map(|host| ("host", host.as_bytes())).collect();
            finds(&TenantKey::host(), &request(uri, &headers), expected);
        }
        let twice = request("/", &[("host", b"shop.example.com"), ("host", b"shop.example.com")]);
        finds(&TenantKey::host(), &twice, None);
    }

    #[test]
    fn code_is_held_to_the_same_rules() {
        let key = TenantKey::from_fn(|request| Some(request.uri.query()?.strip_prefix("t=")?.to_owned()));
        finds(&key, &request("/?t=acme", &[]), Some("acme"));
        finds(&key, &request("/?t=../acme", &[]), None);
        finds(&key, &request("/", &[]), None);
        let panics = TenantKey::from_fn(|_| panic!("in the user's code"));
        assert_eq!(panics.find(&request("/", &[])), Err(RejectionReason::SecretsUnavailable));
    }

    #[test]
    fn debug_says_where() {
        let shown = |key: TenantKey| format!("{key:?}");
        assert_eq!(shown(TenantKey::path_after("/a/").unwrap()), r#"TenantKey::path_after("/a/")"#);
        assert_eq!(shown(TenantKey::header("X-Tenant").unwrap()), r#"TenantKey::header("x-tenant")"#);
    }
}
