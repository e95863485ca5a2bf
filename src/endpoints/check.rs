//! What may be sent, and sent to: URLs of https, or of loopback where that is asked for; ids; event types.

use url::{Host, Url};

use super::error::{EndpointError, EndpointErrorKind};
use super::http::Http;

/// An absolute https URL without credentials, fragment and white space. With `allow_loopback`, http too, to an address of this
/// machine.
pub(super) fn checked(provider: &str, text: &str, allow_loopback: bool) -> Result<Url, EndpointError> {
    let refused = |why: &str| {
        // A URL may hold a password, which is not for an error's text.
        let shown = if text.contains('@') { "the URL" } else { text };
        let shown: String = shown.chars().filter(|c| !c.is_control()).take(200).collect();
        let shown = if shown == "the URL" { shown } else { format!("`{shown}`") };
        EndpointError::new(EndpointErrorKind::InvalidUrl, provider).with_detail(format!("{shown} {why}"))
    };
    // What parses a URL drops or encodes them, and the text is what is sent.
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(refused("has white space or control characters in it"));
    }
    let url = Url::parse(text).map_err(|_| refused("is no absolute URL"))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_loopback && is_loopback(&url) => {}
        "http" if allow_loopback => return Err(refused("is neither https nor on loopback")),
        _ => return Err(refused("is no https URL")),
    }
    if url.host().is_none() {
        return Err(refused("has no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("has credentials in it"));
    }
    if url.fragment().is_some() {
        return Err(refused("has a fragment, which is never sent"));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Whether two URLs are written differently but are the same: providers may write them their way.
pub(super) fn same(one: &Url, other: &str) -> bool {
    Url::parse(other).is_ok_and(|other| *one == other)
}

/// Whether an id may stand in a path: what else an id could be would lead to another path.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// What every API of these demands.
pub(super) fn some_events(
    http: &Http,
    operation: &'static str,
    events: &[String],
) -> Result<(), EndpointError> {
    if events.is_empty() || events.iter().any(String::is_empty) {
        let error = http.error(EndpointErrorKind::InvalidRequest, operation);
        return Err(error.with_detail("an endpoint needs at least one event type, and none may be empty"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_and_with_leave_loopback() {
        let accepts = |text, loopback| checked("p", text, loopback).is_ok();
        for url in ["https://a.example/hook", "https://a.example:8443/?a=b", "https://127.0.0.1/"] {
            assert!(accepts(url, false) && accepts(url, true), "{url}");
        }
        for url in ["http://127.0.0.1:4000/x", "http://127.9.9.9/", "http://[::1]:1/", "http://localhost/"] {
            assert!(!accepts(url, false) && accepts(url, true), "{url}");
        }
        for url in [
            "http://a.example/",
            "http://10.0.0.1/",
            "http://0.0.0.0/",
            "http://localhost.example/",
            "http://127.0.0.1.example/",
            "ftp://127.0.0.1/",
            "https://user@a.example/",
            "https://:pass@a.example/",
            "https://a.example/#x",
            "/hook",
            "",
            "https://",
            "file:///etc/passwd",
            " https://a.example/",
            "https://a.example/\n",
            "https://a.example/\r\n",
            "https://a.exa\tmple/",
            "https://a.example/a b",
            "https://a.example/\u{a0}",
            "https://a.example/\u{1b}",
            "\u{feff}https://a.example/",
        ] {
            assert!(!accepts(url, false) && !accepts(url, true), "{url}");
        }
    }

    #[test]
    fn an_error_shows_no_password_and_no_control_characters() {
        let error = checked("p", "https://user:hunter2@a.example/", false).unwrap_err();
        assert_eq!(error.to_string(), "p: the URL has credentials in it; nothing was sent");
        let error = checked("p", "ftp://a\u{1b}[2J", false).unwrap_err();
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }

    #[test]
    fn urls_are_compared_as_urls() {
        let url = Url::parse("https://a.example/hook").unwrap();
        assert!(same(&url, "HTTPS://A.example:443/hook") && same(&url, "https://a.example/x/../hook"));
        assert!(
            !same(&url, "https://a.example/hook/")
                && !same(&url, "https://a.example/hook?x")
                && !same(&url, "x")
        );
    }

    #[test]
    fn an_id_leads_to_no_other_path() {
        assert!(is_id("we_123") && is_id("67e55044-10b1-426f-9247-bb680e5fe0c8"));
        for text in ["", ".", "..", "a/b", "a?b", "a%2e", "a b", "é", &"x".repeat(256)] {
            assert!(!is_id(text), "{text}");
        }
    }
}
